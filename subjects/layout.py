"""The one speller of paths: a study is one BIDS dataset, and every name in it is made here."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from subjects.errors import LayoutError
from subjects.run_key import RunKey, label
from subjects.store import possible

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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


STUDY_FORMAT = 2
"""The format of a study's folder, as ``format`` in study.toml says it; release 0.1.0 made format 1 and said nothing."""


def require_known_format(found: object, *, where: Path) -> int:
    """Return a study's format if this version knows it.

    Raises
    ------
    LayoutError
        If a newer version made or upgraded the study.
    """
    version = 1 if found is None else found
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise LayoutError(str(where), came=f"format = {version!r}", expected=f"a whole number from 1 to {STUDY_FORMAT}",
                          remedy="Restore the line; a new study's file has it.")
    if version > STUDY_FORMAT:
        raise LayoutError(str(where), came=f"a study of format {version}, of a newer version of this toolkit",
                          expected=f"format {STUDY_FORMAT} at most",
                          remedy="Install the newer version to work with this study; nothing was changed.")
    return version


@dataclass(frozen=True)
class Layout:
    """Paths of one study.

    Parameters
    ----------
    root : Path
        The study's folder.

    Examples
    --------
    >>> Layout(Path("study")).events(RunKey("01", "02", "main", 3)).as_posix()
    'study/sub-01/ses-02/func/sub-01_ses-02_task-main_run-3_events.tsv'
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", possible(self.root))

    @property
    def argument(self) -> str:
        """The study's folder as a command line takes it: quoted where it holds a space or another special character."""
        return shlex.quote(str(self.root))

    def require(self) -> Layout:
        """Return itself if the folder is a study of a format that this version knows, else raise a `LayoutError`."""
        if not self.settings_file.is_file():
            raise LayoutError(str(self.root), came="no study.toml", expected="a study's folder",
                              remedy=f"Make one with `python -m subjects init --study {self.argument}`.")
        require_known_format(self.format(), where=self.settings_file)
        return self

    def format(self) -> object:
        """Read the study's format from study.toml; None where it says none, or is no TOML (which loading it tells)."""
        try:
            return tomllib.loads(self.settings_file.read_text(encoding="utf-8-sig")).get("format")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            return None

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
        return possible(self.stimuli / file)

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

    def run_name(self, key: RunKey) -> str:
        """Spell the name that all files of one run share."""
        return str(key)

    def practice(self, sub: str, *, task: str, number: int) -> Path:
        """Spell the path of the record of a subject's practice of a task."""
        return self.profile(sub).with_name(f"sub-{sub}_task-{label('task', task)}_practice-{int(number):02d}.json")

    def naming(self, sub: str, ses: str) -> Path:
        """Spell the path of the BIDS table of a subject's naming of the images."""
        stem = f"sub-{label('sub', sub)}_ses-{label('ses', ses)}"
        return self.root / f"sub-{sub}" / f"ses-{ses}" / "beh" / f"{stem}_task-naming_beh.tsv"

    def naming_answers(self, sub: str, ses: str) -> Path:
        """Spell the path of the answers as they were given, one a line."""
        return self.source_dir(sub, ses) / f"sub-{sub}_ses-{ses}_task-naming_answers.jsonl"

    def clickme_answers(self, sub: str, ses: str) -> Path:
        """Spell the path of what a subject uncovered in the images, one a line."""
        return self.source_dir(sub, ses) / f"sub-{sub}_ses-{ses}_task-clickme_answers.jsonl"

    def importance_map(self, sub: str, ses: str, *, image_id: str) -> Path:
        """Spell the path of a subject's importance map of an image."""
        return self.derivative("importance", sub=sub, ses=ses, image=image_id.replace("px-", ""), suffix="map.npz")

    @property
    def freeze(self) -> Path:
        """The frozen preregistration."""
        return self.root / "sourcedata" / "freeze.json"

    def attempt_file(self, suffix: str, key: RunKey, *, attempt: int) -> Path:
        """Spell a file of one attempt at a run, in sourcedata."""
        return self.source_dir(key.sub, key.ses) / f"{self.run_name(key.whole)}_attempt-{int(attempt):02d}_{suffix}"

    def schedule(self, key: RunKey, *, attempt: int = 1) -> Path:
        """Spell the schedule's path: written before anything is shown."""
        return self.attempt_file("schedule.json", key, attempt=attempt)

    def journal(self, key: RunKey, *, attempt: int = 1) -> Path:
        """Spell the path of the append-only record of what happened."""
        return self.attempt_file("journal.jsonl", key, attempt=attempt)

    def resolved_settings(self, key: RunKey, *, attempt: int = 1) -> Path:
        """Spell the path of the settings in force at that run."""
        return self.attempt_file("settings.json", key, attempt=attempt)

    def series(self, key: RunKey, *, attempt: int = 1) -> Path:
        """Spell the path of the record that names the scanner's series of an attempt."""
        return self.attempt_file("series.json", key, attempt=attempt)

    def scans(self, sub: str, ses: str) -> Path:
        """Spell the path of the record of what was scanned beside a session's runs."""
        return self.source_dir(sub, ses) / f"sub-{sub}_ses-{ses}_scans.json"

    def events(self, key: RunKey) -> Path:
        """Spell the path of a run's BIDS events table; one of another program may have zeros before its number."""
        own = self.raw(key.sub, key.ses) / f"{self.run_name(key)}_events.tsv"
        padded = [own.with_name(own.name.replace(f"_run-{key.run}_", f"_run-{key.run:0{width}d}_")) for width in (2, 3)]
        return own if own.is_file() else next((path for path in padded if path.is_file()), own)

    def events_sidecar(self, key: RunKey) -> Path:
        """Spell the path of its sidecar."""
        return self.events(key).with_suffix(".json")

    def stim(self, key: RunKey) -> Path:
        """Spell the path of a run's BIDS table of continuous stimulation."""
        return self.raw(key.sub, key.ses) / f"{self.run_name(key)}_stim.tsv.gz"

    def physio(self, key: RunKey) -> Path:
        """Spell the path of a run's BIDS recording of gaze.

        That of a later part has no entity ``recording``: with it two events tables, of the part and of the run, would
        be its own, which BIDS forbids; without it the one of exactly its name is.
        """
        recording = "_recording-eyelink" if key.part == 1 else ""
        return self.raw(key.sub, key.ses) / f"{self.run_name(key)}{recording}_physio.tsv.gz"

    def derivatives(self, pipeline: str) -> Path:
        """Folder of one kind of result."""
        return self.root / "derivatives" / pipeline

    def derivative(self, pipeline: str, *, suffix: str, sub: str | None = None, hemi: str | None = None,
                   **entities: str | int) -> Path:
        """Spell a result's path: ``derivatives/<pipeline>[/sub-XX]/[sub-XX_][ses-XX_][hemi-X_]...<suffix>``."""
        parts = [f"{key}-{label(key, value)}" for key, value in entities.items()]
        if hemi is not None:
            parts.insert(int("ses" in entities), f"hemi-{label('hemi', hemi)}")
        folder = self.derivatives(pipeline)
        if sub is not None:
            parts.insert(0, f"sub-{label('sub', sub)}")
            folder = folder / f"sub-{sub}"
        return folder / "_".join([*parts, suffix])

    def bold(self, pipeline: str, *, key: RunKey, hemi: str, space: str | None = None, den: str | None = None) -> Path:
        """Path of a surface time series, as fMRIPrep spells it.

        Parameters
        ----------
        pipeline : str
            ``"fmriprep"`` or ``"simulated"``.
        key : RunKey
            Which run.
        hemi : str
            ``"L"`` or ``"R"``.
        space : str, optional
            The surface space for writing; without it the one file present is found.
        den : str, optional
            The mesh's density, where it is not the space's own.

        Raises
        ------
        LayoutError
            When reading and not exactly one file is there.
        """
        folder = self.derivatives(pipeline) / f"sub-{key.sub}" / f"ses-{key.ses}" / "func"
        stem = f"{self.run_name(key)}_hemi-{label('hemi', hemi)}"
        if space is not None:
            density = "" if den is None else f"_den-{label('den', den)}"
            return folder / f"{stem}_space-{label('space', space)}{density}_bold.func.gii"
        found = sorted(folder.glob(f"{stem}_space-*_bold.func.gii"))
        if len(found) != 1:
            came = "no such file" if not found else f"{len(found)} files in different spaces"
            raise LayoutError(str(folder / f"{stem}_space-*_bold.func.gii"), came=came,
                              expected="one surface time series",
                              remedy="Run the preprocessing (or `python -m analysis simulate`), or keep one space.")
        return found[0]

    def confounds(self, pipeline: str, key: RunKey) -> Path:
        """Spell the path of a run's table of confounds, as fMRIPrep spells it."""
        folder = self.derivatives(pipeline) / f"sub-{key.sub}" / f"ses-{key.ses}" / "func"
        return folder / f"{self.run_name(key)}_desc-confounds_timeseries.tsv"

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

    def find_parts(self, key: RunKey) -> tuple[RunKey, ...]:
        """List the parts of a run that have an events table, in order; see :class:`~subjects.run_key.RunKey`."""
        return tuple(one for one in self.find_runs(key.sub, key.task) if one.whole == key.whole)

    def find_runs(self, sub: str, task: str) -> tuple[RunKey, ...]:
        """List the runs of a subject that have an events table, part by part, in order of session and number."""
        pattern = re.compile(rf"sub-{label('sub', sub)}_ses-([A-Za-z0-9]+)_task-{label('task', task)}"
                             r"(?:_acq-part([2-9]|[1-9][0-9]+))?_run-(0*[1-9][0-9]*)_events\.tsv\Z")
        names = (path.name for path in self.root.glob(f"sub-{sub}/ses-*/func/*_events.tsv"))
        return tuple(sorted({RunKey(sub, match[1], task, int(match[3]), part=int(match[2] or 1))
                             for name in names if (match := pattern.match(name))}))


_JOURNAL = re.compile(r"sub-(?P<sub>[^_]+)_ses-(?P<ses>[^_]+)_task-(?P<task>[^_]+)_run-(?P<run>\d+)"
                      r"_attempt-(?P<attempt>\d+)_journal\.jsonl\Z")


def key_of(journal: Path) -> tuple[RunKey, int] | None:
    """Read run and attempt out of a journal's name; None for a name that is no attempt's.

    Examples
    --------
    >>> key_of(Path("sub-01_ses-02_task-main_run-3_attempt-04_journal.jsonl"))
    (RunKey(sub='01', ses='02', task='main', run=3), 4)
    """
    match = _JOURNAL.match(journal.name)
    if match is None:
        return None
    return RunKey(match["sub"], match["ses"], match["task"], int(match["run"])), int(match["attempt"])
