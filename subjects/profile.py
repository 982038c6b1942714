"""Subjects and their sessions: pseudonymous records, and which images a session shows."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from subjects.dataset import Person, write_row
from subjects.errors import ProfileError, ScheduleError, nearest
from subjects.layout import Layout
from subjects.provenance import derive_seed, rng
from subjects.run_key import label
from subjects.settings.images import StimuliSettings
from subjects.settings.study import Settings
from subjects.store import read_json, write_json


@dataclass(frozen=True)
class SubjectProfile:
    """One subject. There is no field for a name, a birth date or contact data, and never shall be.

    Parameters
    ----------
    sub : str
        The pseudonym, letters and digits.
    swap_keys : bool
        Exchange the two buttons of the animal judgement for this subject.
    virtual : bool
        The subject is simulated.
    """

    sub: str
    swap_keys: bool = False
    virtual: bool = False

    def __post_init__(self) -> None:
        label("sub", self.sub)
        for name in ("swap_keys", "virtual"):
            if not isinstance(getattr(self, name), bool):
                raise ProfileError(f"profile of sub-{self.sub}, {name}", came=repr(getattr(self, name)),
                                   expected="true or false", remedy="Correct the profile.")
        if re.search(r"(19|20)\d{6}\Z", self.sub):
            raise ProfileError("sub label", came=repr(self.sub), expected="a pseudonym without a date",
                               remedy="Number the subjects: 01, 02, ...")


def base_images(stimuli: StimuliSettings) -> tuple[str, ...]:
    """Name the base images, class by class.

    Examples
    --------
    >>> base_images(StimuliSettings())[:2], len(base_images(StimuliSettings()))
    (('dogs-01', 'dogs-02'), 40)
    """
    return tuple(f"{kind}-{k:02d}" for kind in stimuli.classes for k in range(1, stimuli.per_class + 1))


def session_images(settings: Settings, *, sub: str) -> dict[str, tuple[str, ...]]:
    """Share the base images out over the sessions, each class evenly.

    Parameters
    ----------
    settings : Settings
        Classes, images a class, number of sessions, the study's seed.
    sub : str
        The subject; each has an own split.

    Returns
    -------
    dict of str to tuple of str
        Session label (``"01"``, ...) to base images in class order; all three versions of a base
        image are shown in its session. With a second network each class's first, third, ... base images and the others
        are shared out apart, so that each session has as many of either network.

    Raises
    ------
    ScheduleError
        If a class cannot be shared out evenly.
    """
    stimuli, n = settings.stimuli, settings.main.sessions
    require_even_shares(stimuli, n_sessions=n)
    split: dict[str, list[str]] = {label("ses", k + 1): [] for k in range(n)}
    apart = 1 if stimuli.second_network is None else 2
    share = stimuli.per_class // (n * apart)
    for kind in stimuli.classes:
        order = rng(settings.study.seed, sub, "session images", kind).permutation(stimuli.per_class)
        parts = [order[order % apart == k] for k in range(apart)]
        for k, ses in enumerate(split):
            own = [int(i) for part in parts for i in part[k * share:(k + 1) * share]]
            split[ses] += [f"{kind}-{i + 1:02d}" for i in sorted(own)]
    return {ses: tuple(names) for ses, names in split.items()}


def is_mirrored(sub: str) -> bool:
    """Say whether a subject of a study of two networks is shown the halves of the networks exchanged.

    Subjects whose label ends in an even number are; of a label without a number its digest decides.

    Examples
    --------
    >>> [is_mirrored(sub) for sub in ("01", "02", "pilot3")]
    [False, True, False]
    """
    number = re.search(r"\d+\Z", sub)
    return int(number[0]) % 2 == 0 if number else derive_seed(0, sub, "mirrored") % 2 == 0


def require_even_shares(stimuli: StimuliSettings, *, n_sessions: int) -> None:
    """See that every class can be shared out evenly over the sessions, before a subject or an image is made.

    Raises
    ------
    ScheduleError
        If the images of a class are no multiple of the sessions, or with a second network of twice as many.
    """
    if stimuli.second_network is not None and stimuli.per_class % (2 * n_sessions):
        raise ScheduleError("stimuli.second_network", came=f"{stimuli.per_class} images a class for {n_sessions} "
                            "sessions and two networks", expected=f"a multiple of {2 * n_sessions} images a class, so "
                            "that each session has as many of either network",
                            remedy="Change stimuli.per_class or main.sessions, or leave stimuli.second_network out.")
    if stimuli.per_class % n_sessions:
        raise ScheduleError("main.sessions", came=f"{n_sessions} sessions for {stimuli.per_class} images a class",
                            expected="a number of sessions that divides the images of a class",
                            remedy="Change main.sessions or stimuli.per_class.")


def register(layout: Layout, sub: str, *, swap_keys: bool = False, virtual: bool = False,
             person: Person | None = None) -> SubjectProfile:
    """Add a subject to the study: a profile in sourcedata and a row in participants.tsv.

    Raises
    ------
    ProfileError
        If the subject exists already.
    """
    layout.require()
    profile = SubjectProfile(sub, swap_keys=swap_keys, virtual=virtual)
    path = layout.profile(sub)
    if path.exists():
        raise ProfileError(str(path), came=f"subject {sub!r} again", expected="a new subject",
                           remedy="Choose another label; nothing was changed.")
    write_row(layout, sub, row={"group": "virtual" if virtual else "volunteer", **(person or Person()).told()})
    write_json(path, asdict(profile))  # last: a subject without it can be added again
    return profile


def next_mapping(layout: Layout, settings: Settings, *, sub: str) -> bool:
    """Say whether the next volunteer's buttons are to be exchanged, so that both mappings are had equally often.

    Parameters
    ----------
    layout, settings
        The study. Virtual subjects do not count.
    sub : str
        The subject that is to be added.

    Returns
    -------
    bool
        The rarer mapping; where both are had equally often, one drawn with the study's seed.
    """
    known = [load_profile(layout, one) for one in layout.subjects()]
    swapped = [one.swap_keys for one in known if not one.virtual]
    if 2 * sum(swapped) != len(swapped):
        return 2 * sum(swapped) < len(swapped)
    return bool(rng(settings.study.seed, sub, "button mapping").random() < 0.5)


def load_profile(layout: Layout, sub: str) -> SubjectProfile:
    """Read a subject's profile.

    Raises
    ------
    ProfileError
        If the subject is unknown; the nearest known one is named.
    """
    layout.require()
    path = layout.profile(sub)
    if not path.is_file():
        known = layout.subjects()
        remedy = (nearest(sub, known) + " " if known else "") + \
            f"Add it with `python -m subjects add --study {layout.argument} --sub {sub}`."
        raise ProfileError(str(layout.root), came=f"no subject {sub!r}", expected="a subject that was added",
                           remedy=remedy)
    content = read_json(path)
    try:
        profile = SubjectProfile(**content)
    except TypeError as error:
        raise ProfileError(str(path), came=f"unknown fields ({error})", expected="sub, swap_keys, virtual",
                           remedy="Restore the file.") from error
    if profile.sub != sub:
        raise ProfileError(str(path), came=f"the profile of sub-{profile.sub}", expected=f"that of sub-{sub}",
                           remedy="Restore the file; nothing was shown.")
    return profile


def require_virtual(profile: SubjectProfile, *, what: str) -> SubjectProfile:
    """Return a profile that is marked virtual; data are never invented for a volunteer.

    Parameters
    ----------
    profile : SubjectProfile
        The subject.
    what : str
        What is to be done, as it follows "a virtual subject": ``"for simulated BOLD"``.

    Raises
    ------
    ProfileError
        If the subject is a volunteer.

    Examples
    --------
    >>> require_virtual(SubjectProfile("01", virtual=True), what="for simulated BOLD").sub
    '01'
    """
    if not profile.virtual:
        raise ProfileError(f"sub-{profile.sub}", came="a volunteer", expected=f"a virtual subject {what}",
                           remedy="Nothing is made up for a volunteer; for a rehearsal add a subject of another label "
                                  "with `python -m subjects add --virtual`.")
    return profile
