"""The one speller of paths: a study is one BIDS dataset, and every name in it is made here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from subjects.errors import LayoutError

_LABEL = re.compile(r"[A-Za-z0-9]+\Z")


def label(kind: str, value: str | int) -> str:
    """Check a BIDS label and give it as text; numbers get two digits for subjects and sessions.

    Parameters
    ----------
    kind : str
        The entity: ``"sub"``, ``"ses"``, ``"task"``, ``"hemi"``, ...
    value : str or int
        The label, for example ``1`` or ``"01"``.

    Raises
    ------
    LayoutError
        If it holds anything but letters and digits; the message offers a corrected one.

    Examples
    --------
    >>> label("sub", 1)
    '01'
    """
    text = f"{value:02d}" if isinstance(value, int) else str(value)
    if _LABEL.match(text):
        return text
    bare = re.sub(r"[^A-Za-z0-9]", "", text.removeprefix(f"{kind}-"))
    raise LayoutError(f"{kind} label", came=repr(text), expected="letters and digits only",
                      remedy=f"Write {bare!r}." if bare else "Choose a label such as '01'.")


def network_label(name: str) -> str:
    """Spell a network's name as a BIDS label: its letters and digits alone.

    Parameters
    ----------
    name : str
        As the network is asked for: ``"alexnet-caffe"``, ``"squeezenet1_0"``, ``"my.networks:load"``.

    Raises
    ------
    LayoutError
        If it has neither letters nor digits.

    Examples
    --------
    >>> network_label("squeezenet1_0"), network_label("my.networks:load")
    ('squeezenet10', 'mynetworksload')
    """
    return label("network", re.sub(r"[^A-Za-z0-9]", "", name))


@dataclass(frozen=True)
class Layout:
    """Paths of one study.

    Parameters
    ----------
    root : Path
        The study's folder.

    Examples
    --------
    >>> Layout(Path("study")).events(sub="01", ses="02", task="main", run=3).as_posix()
    'study/sub-01/ses-02/func/sub-01_ses-02_task-main_run-3_events.tsv'
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))

    def require(self) -> Layout:
        """Return itself if the folder is a study, else raise a :class:`LayoutError`."""
        if not self.settings_file.is_file():
            raise LayoutError(str(self.root), came="no study.toml", expected="a study's folder",
                              remedy=f"Make one with `python -m subjects init --study {self.root}`.")
        return self

    @property
    def settings_file(self) -> Path:
        """The study's own settings."""
        return self.root / "study.toml"

    @property
    def stimuli(self) -> Path:
        """The folder of the stimulus set, to which ``stim_file`` is relative."""
        return self.root / "stimuli"

    @property
    def manifest(self) -> Path:
        """The table of all shown images."""
        return self.stimuli / "manifest.tsv"

    @property
    def textures(self) -> Path:
        """The table of the textures of the mapping and localizer paradigms."""
        return self.stimuli / "textures.tsv"

    def stimulus(self, file: str) -> Path:
        """Path of an image named in the manifest."""
        return self.stimuli / file

    @property
    def participants(self) -> Path:
        """The BIDS table of participants."""
        return self.root / "participants.tsv"

    def profile(self, sub: str) -> Path:
        """Spell the path of a subject's record (pseudonymous, made when the subject is added)."""
        return self.root / "sourcedata" / f"sub-{label('sub', sub)}" / f"sub-{sub}_profile.json"

    def raw(self, sub: str, ses: str) -> Path:
        """Folder of a session's functional files."""
        return self.root / f"sub-{label('sub', sub)}" / f"ses-{label('ses', ses)}" / "func"

    def source_dir(self, sub: str, ses: str) -> Path:
        """Folder of a session's journals, schedules and resolved settings."""
        return self.root / "sourcedata" / f"sub-{label('sub', sub)}" / f"ses-{label('ses', ses)}"

    def run_name(self, *, sub: str, ses: str, task: str, run: int) -> str:
        """Spell the name that all files of one run share."""
        return f"sub-{label('sub', sub)}_ses-{label('ses', ses)}_task-{label('task', task)}_run-{int(run)}"

    def attempt_file(self, suffix: str, *, sub: str, ses: str, task: str, run: int, attempt: int) -> Path:
        """Spell a file of one attempt at a run, in sourcedata."""
        name = self.run_name(sub=sub, ses=ses, task=task, run=run)
        return self.source_dir(sub, ses) / f"{name}_attempt-{int(attempt):02d}_{suffix}"

    def schedule(self, *, sub: str, ses: str, task: str, run: int, attempt: int = 1) -> Path:
        """Spell the schedule's path: written before anything is shown."""
        return self.attempt_file("schedule.json", sub=sub, ses=ses, task=task, run=run, attempt=attempt)

    def journal(self, *, sub: str, ses: str, task: str, run: int, attempt: int = 1) -> Path:
        """Spell the path of the append-only record of what happened."""
        return self.attempt_file("journal.jsonl", sub=sub, ses=ses, task=task, run=run, attempt=attempt)

    def resolved_settings(self, *, sub: str, ses: str, task: str, run: int, attempt: int = 1) -> Path:
        """Spell the path of the settings in force at that run."""
        return self.attempt_file("settings.json", sub=sub, ses=ses, task=task, run=run, attempt=attempt)

    def events(self, *, sub: str, ses: str, task: str, run: int) -> Path:
        """Spell the path of a run's BIDS events table."""
        return self.raw(sub, ses) / f"{self.run_name(sub=sub, ses=ses, task=task, run=run)}_events.tsv"

    def events_sidecar(self, *, sub: str, ses: str, task: str, run: int) -> Path:
        """Spell the path of its sidecar."""
        return self.events(sub=sub, ses=ses, task=task, run=run).with_suffix(".json")

    def stim(self, *, sub: str, ses: str, task: str, run: int) -> Path:
        """Spell the path of a run's BIDS table of continuous stimulation."""
        return self.raw(sub, ses) / f"{self.run_name(sub=sub, ses=ses, task=task, run=run)}_stim.tsv.gz"

    def derivatives(self, pipeline: str) -> Path:
        """Folder of one kind of result."""
        return self.root / "derivatives" / pipeline

    def derivative(self, pipeline: str, *, suffix: str, sub: str | None = None, hemi: str | None = None,
                   **entities: str | int) -> Path:
        """Spell a result's path: ``derivatives/<pipeline>[/sub-XX]/[sub-XX_][hemi-X_]...<suffix>``."""
        parts = [f"{key}-{label(key, value)}" for key, value in entities.items()]
        if hemi is not None:
            parts.insert(0, f"hemi-{label('hemi', hemi)}")
        folder = self.derivatives(pipeline)
        if sub is not None:
            parts.insert(0, f"sub-{label('sub', sub)}")
            folder = folder / f"sub-{sub}"
        return folder / "_".join([*parts, suffix])

    def bold(self, pipeline: str, *, sub: str, ses: str, task: str, run: int, hemi: str,
             space: str | None = None) -> Path:
        """Path of a surface time series, as fMRIPrep spells it.

        Parameters
        ----------
        pipeline : str
            ``"fmriprep"`` or ``"simulated"``.
        space : str, optional
            The surface space for writing; without it the one file present is found.

        Raises
        ------
        LayoutError
            When reading and not exactly one file is there.
        """
        folder = self.derivatives(pipeline) / f"sub-{label('sub', sub)}" / f"ses-{label('ses', ses)}" / "func"
        stem = f"{self.run_name(sub=sub, ses=ses, task=task, run=run)}_hemi-{label('hemi', hemi)}"
        if space is not None:
            return folder / f"{stem}_space-{label('space', space)}_bold.func.gii"
        found = sorted(folder.glob(f"{stem}_space-*_bold.func.gii"))
        if len(found) != 1:
            came = "no such file" if not found else f"{len(found)} files in different spaces"
            raise LayoutError(str(folder / f"{stem}_space-*_bold.func.gii"), came=came,
                              expected="one surface time series",
                              remedy="Run the preprocessing (or `python -m analysis simulate`), or keep one space.")
        return found[0]

    def features(self, network: str) -> Path:
        """Spell the path of a network's unit responses to the stimulus set."""
        return self.derivatives("features") / f"network-{network_label(network)}_features.h5"

    @property
    def report(self) -> Path:
        """The page that a study ends in."""
        return self.derivatives("report") / "report.html"

    @property
    def figures(self) -> Path:
        """The figures of the report, one file each."""
        return self.derivatives("report") / "figures"

    def subjects(self) -> tuple[str, ...]:
        """List the subjects that were added."""
        return tuple(path.parent.name.removeprefix("sub-")
                     for path in sorted(self.root.glob("sourcedata/sub-*/sub-*_profile.json")))

    def find_runs(self, sub: str, task: str) -> tuple[tuple[str, int], ...]:
        """List the (session, run) of a subject that have an events table, in order."""
        pattern = re.compile(rf"sub-{label('sub', sub)}_ses-([A-Za-z0-9]+)_task-{task}_run-([0-9]+)_events\.tsv\Z")
        names = (path.name for path in self.root.glob(f"sub-{sub}/ses-*/func/*_events.tsv"))
        return tuple(sorted((match[1], int(match[2])) for name in names if (match := pattern.match(name))))
