"""The settings of the analysis: GLM, vertex selection, RSA, the virtual subject.

Every default is a number of the protocol or one of its open points (``docs/protocol.md``, sections 6 to 9).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from subjects.settings.section import (
    Count,
    Draws,
    NotNegative,
    Positive,
    Probability,
    Section,
    Share,
    Vertices,
    described,
    require_pairs,
)


class GlmSettings(Section):
    """The general linear model: denoising, HRF, drifts, and how many vertices are fitted at once."""

    model: Literal["glmdenoise", "ols", "ar1"] = described("glmdenoise",
        "Model of the time series: GLMdenoise (Kay et al. 2013), ordinary least squares, or least squares under noise "
        "that is correlated from volume to volume (AR(1)). A study of release 0.1.0 that names none keeps least "
        "squares.", source="protocol 6", before="ols")
    sessions: Literal["separate", "joint"] = described("separate",
        "Sessions are fitted apart, each with a blank predictor of its own, or together with one (their signals first "
        "scaled to one mean a vertex).", source="protocol 6, open", since="0.2.0")
    hrf: Literal["canonical", "glmdenoise"] = described("canonical",
        "Haemodynamic response: SPM's canonical double gamma, or GLMdenoise's own, the mean of measured responses; "
        "what GLMdenoise's estimate starts from.", source="protocol 6")
    basis: Literal["single", "derivative", "dispersion", "fir"] = described("single",
        "What least squares and AR(1) fit a condition with: `hrf` alone; with its derivative in time beside it, or "
        "with those in time and dispersion (of the canonical one, as in SPM); or a value a lag up to 20 s (`fir`, for "
        "few conditions at jittered times; the one at the peak is the beta).",
        source="protocol 6, open", since="0.2.0")
    contrasts: tuple[str, ...] = described(("RE + AN + AI > blank", "RE > AN", "RE > AI", "AI > AN"),
        "Contrasts, two-tailed (after GLMdenoise t over runs): means of conditions on both sides of `>`, joined by "
        "`+`: a type, `images`, `blank`, a class (`dogs`) or a base image, and of one type `AI:dogs`.", unit="contrast",
        since="0.2.0")
    hrf_fit: Literal["optimize", "assume", "fir"] = described("optimize",
        "GLMdenoise's response: one fitted to the vertices that the conditions explain best (`optimize`), `hrf` as it "
        "is (`assume`), or a time course a condition and vertex (`fir`, for few conditions; the value at the peak of "
        "`hrf` is the beta). Least squares take `hrf` as it is.", source="protocol 6, open", since="0.2.0")
    partition: Literal["presentation", "runs"] = described("presentation",
        "What the two estimates of each image are from: its first and its second showing in a run, pooled over runs, "
        "or odd and even runs, each half estimated (and denoised) by itself.", source="protocol 6, open",
        since="0.2.0")
    noise_components: Annotated[int, Field(ge=0)] = described(20,
        "Most noise components that GLMdenoise tries; how many it takes is cross-validated over runs.",
        source="protocol 6", since="0.2.0")
    run_bootstraps: Annotated[int, Field(ge=0)] = described(100,
        "Bootstraps over runs in GLMdenoise's final fit: betas are their medians, and have standard errors; 0 for one "
        "fit without.", source="protocol 6", since="0.2.0")
    drift_minutes: Positive = described(2.0,
        "Minutes of a run for each degree of the drift polynomials.", unit="min", source="protocol 6")
    confounds: tuple[str, ...] = described((),
        "Regressors of no interest beside the drifts, from fMRIPrep's table of confounds: columns by name, or the "
        "groups `motion6`, `motion24`, `cosine`, `non_steady_state`, `motion_outliers`, `wm_csf`, `global_signal`, "
        "`acompcor` (or its first: `acompcor5`). None, as in the paper.", unit="names", since="0.2.0")
    min_brightness: Share = described(0.1,
        "Vertices whose mean signal is less than this share of the 99th percentile over the surface have no betas: "
        "percent of next to nothing is anything. 0: none is too dim.", unit="share", since="0.2.0", before=0.0)
    block_vertices: Count = described(4096,
        "Vertices that are fitted at a time; no result depends on it beyond rounding.", unit="vertices")

    @model_validator(mode="after")
    def _dispersion_is_of_the_canonical_response(self) -> GlmSettings:
        if self.basis == "dispersion" and self.hrf != "canonical":
            raise ValueError('basis = "dispersion" is of the canonical response: hrf = "canonical"')
        return self

    @field_validator("contrasts")
    @classmethod
    def _contrasts_have_sides(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            terms = [term.strip() for side in one.split(">") for term in side.split("+")]
            if one.count(">") > 1 or not all(terms) or any(term[0] in "-*<" for term in terms):
                raise ValueError(f"{one!r} is no contrast; write it as 'RE > AN' or 'RE + AI > blank'")
        if len({contrast_label(one) for one in given}) < len(given):
            raise ValueError("contrasts repeat one another")
        return given


def contrast_label(contrast: str) -> str:
    """Spell a contrast as a BIDS label.

    Examples
    --------
    >>> contrast_label("RE + AI:dogs > blank")
    'REandAIdogsOverblank'
    """
    words = contrast.replace(">", " Over ").replace("+", " and ")
    return "".join(letter for letter in words if letter.isalnum())


Range = tuple[float, float]
EVENT_COLUMNS = ("image_id", "onset", "duration", "trial_type", "stim_file", "base_image", "presentation")
EVENT_TYPES = ("blank", "RE", "AN", "AI", "none")


class PrfSettings(Section):
    """Population receptive fields: model, response, which vertices, and apertures of one's own."""

    model: Literal["css", "gaussian"] = described("css",
        "Compressive spatial summation, whose exponent is fitted, or the Gaussian model, whose exponent is 1.",
        source="protocol 3", since="0.2.0")
    hrf: Literal["canonical", "fitted"] = described("canonical",
        "Haemodynamic response: SPM's canonical double gamma, or the same with a lag and a width that are fitted at "
        "every vertex, within `lag_s` and `width`. Fitting costs about four times as much.", since="0.2.0")
    lag_s: Range = described((-2.0, 5.0),
        "How much later than the canonical response a fitted one may come.", unit="s", since="0.2.0")
    width: Range = described((0.7, 1.4),
        "How much longer than the canonical response a fitted one may take.", unit="share", since="0.2.0")
    discard_s: NotNegative = described(14.0,
        "Data discarded at the start of each retinotopy run; the apertures of that time still count.", unit="s",
        source="protocol 3, open", since="0.2.0")
    grid_deg: Positive = described(0.24,
        "Apertures are averaged to points this far apart before the fit; its cost grows with their number.",
        unit="deg", since="0.2.0")
    frame_tolerance: Share = described(0.02,
        "Volumes whose apertures differ by no more at any point count as showing the same one.", unit="share",
        since="0.2.0")
    cross_validation: Literal["none", "runs", "sessions"] = described("none",
        "Also fit without each run, or without each session, and say how much of it that fit predicts.", since="0.2.0")
    vertices: Literal["all", "regions"] = described("all",
        "Fit every vertex of the mesh, or those that have a region's label.", since="0.2.0")
    max_vertices: Annotated[int, Field(ge=0)] = described(0,
        "Fit at most so many vertices a hemisphere, spread evenly over the mesh's numbers, for a quick look; 0: all.",
        unit="vertices", since="0.2.0")
    show_r2_pct: Annotated[float, Field(ge=0, lt=100)] = described(10.0,
        "Maps and tables show vertices whose fit explains more of the variance.", unit="%", since="0.2.0")
    block_vertices: Count = described(4096,
        "Vertices that are fitted at a time, and kept if the step is interrupted; R2 depends on it by less than .001 "
        "points.", unit="vertices", since="0.2.0")
    apertures: str = described("",
        "Aperture files of one's own in place of the console's: a path within the study, with {sub}, {ses} and {run} "
        "where they differ. npz, NIfTI or .mat. Empty: the console's export.", unit="path", since="0.2.0")
    aperture_array: str = described("", "Name of the array in an npz or .mat file that holds several.", unit="name",
                                    since="0.2.0")
    aperture_width_deg: NotNegative = described(0.0,
        "Width of the field that the apertures' pixels fill; needed where a file does not say degrees.", unit="deg",
        since="0.2.0")
    aperture_height_deg: NotNegative = described(0.0,
        "Height of that field; 0: as the width, with square pixels.", unit="deg", since="0.2.0")
    aperture_tr_s: NotNegative = described(0.0,
        "How long a frame stands, where a file does not say it; 0: the TR.", unit="s", since="0.2.0")

    @model_validator(mode="after")
    def _ranges_ascend(self) -> PrfSettings:
        if not (self.lag_s[0] < self.lag_s[1] and 0 < self.width[0] < self.width[1]):
            raise ValueError("lag_s and width are ascending ranges, and width is positive")
        return self


class RoiSettings(Section):
    """Regions of interest, and vertex selection on searchlight disks of the flattened cortex."""

    regions: tuple[str, ...] = described(("V1", "V2", "V3", "V4", "LO"),
        "Regions of interest, by the names that a subject's labels give them.", unit="names", source="protocol 7",
        since="0.2.0")
    missing_regions: Literal["refuse", "leave_out"] = described("refuse",
        "What is done with a subject whose labels lack one of them in either hemisphere: it is refused, or the region "
        "is left out for this subject, in both hemispheres, and that is said.", since="0.2.0")
    proposal_atlas: Literal["benson", "wang"] = described("benson",
        "Atlas whose V1 to V4 `analysis propose` moves to a subject's own maps: that of Benson et al., or that of Wang "
        "et al. (moved by Benson's field map); both come with neuropythy.", since="0.2.0")
    proposal_r2_pct: Annotated[float, Field(ge=0, lt=100)] = described(2.0,
        "`analysis propose` goes by vertices whose receptive field explains more of the variance, each weighted by "
        "that; less than `prf.show_r2_pct`, since neighbours are averaged, and little more than noise alone reaches.",
        unit="%", since="0.2.0")
    radius_mm: Positive = described(3.0,
        "Geodesic radius of the disks on the flattened surface.", unit="mm", source="protocol 7")
    vertices_per_hemisphere: Vertices = described(100,
        "Vertices chosen in each region and hemisphere, two or more.", unit="vertices", source="protocol 7")
    disk: Literal["region", "whole"] = described("region",
        "What a disk holds: the vertices of its centre's region alone, or all within the radius, those of neighbouring "
        "regions among them. A study of release 0.1.0 that names none keeps whole disks.",
        source="protocol 7, open", since="0.2.0", before="whole")
    along: Literal["flat", "folded"] = described("flat",
        "The mesh along whose edges distances run: the flat map, or the surface midway between white and pial.",
        source="protocol 7", since="0.2.0")
    min_disk: Count = described(10,
        "Disks of fewer vertices are left out; vertices without signal do not count.", unit="vertices")
    warn_disk: Annotated[int, Field(ge=0)] = described(10,
        "A region is warned of where half of its disks hold fewer vertices.", unit="vertices", since="0.2.0")
    refuse_disk: Annotated[int, Field(ge=0)] = described(5,
        "A region is refused where half of its disks hold fewer vertices: the mesh is too sparse. A study of release "
        "0.1.0 that names none refuses none.", unit="vertices", since="0.2.0", before=0)
    bias_draws: Annotated[int, Field(ge=0)] = described(100,
        "Draws in which `analysis select` chooses vertices anew, to see whether the choice biases a similarity; 0 or "
        "1: none.", unit="draws", since="0.2.0")
    session_means: Literal["removed", "pooled", "kept"] = described("removed",
        "Whether the mean pattern of each session is removed from its images before they are compared: that of each "
        "type from its own images, or one over all types from all; or kept.")

    @field_validator("regions")
    @classmethod
    def _regions_have_names(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not given or len(set(given)) < len(given):
            raise ValueError("regions must be at least one name, each once")
        for name in given:
            if name != name.strip() or not name or set(name) & set("/\\") or name in ("all", "???"):
                raise ValueError(f"{name!r} is no name of a region")
        return given


class LocalizerSettings(Section):
    """Thresholds of the localizers' contrasts."""

    p: Probability = described(0.05,
        "Two-tailed p below which a vertex answers to a localizer's contrast; with `threshold = \"fdr\"`, the false "
        "discovery rate over all vertices with signal.", source="protocol 4", since="0.2.0")
    threshold: Literal["uncorrected", "fdr"] = described("uncorrected",
        "How p is thresholded: as it is, or corrected by false discovery rate (Benjamini & Hochberg).",
        source="protocol 4", since="0.2.0")
    min_area_mm2: NotNegative = described(20.0,
        "Connected pieces of the surface that are smaller are left out of LO and hMT+, and counted: the paper names no "
        "such step; 0 keeps every vertex that passes.", unit="mm2", source="protocol 4, open", since="0.2.0")


class RsaSettings(Section):
    """Representational similarity analysis."""

    dissimilarity: Literal["correlation", "euclidean", "euclidean_root", "cosine", "mahalanobis",
                           "crossnobis"] = described("correlation",
        "How two patterns are compared: 1 minus Pearson's correlation, squared Euclidean distance by the number of "
        "features, Euclidean distance, 1 minus the cosine; in units of the noise of presentations, Mahalanobis, or "
        "cross-validated over the two (squared Euclidean in networks and where vertices are chosen).",
        source="protocol 8, open")
    comparison: Literal["spearman", "tau_a", "rho_a", "pearson"] = described("spearman",
        "How two dissimilarity matrices are compared: Spearman's rho, Kendall's tau-a, rho-a (the mean of rho over "
        "orders of ties), or Pearson's r.", source="protocol 8", since="0.2.0")
    n_permutations: Count = described(1000, "Permutations of the labels for a null distribution.", source="protocol 8")
    n_bootstraps: Draws = described(1000,
        "Bootstrap samples for an interval, two or more.", source="protocol 8")
    unit_groups: Annotated[int, Field(ge=0)] = described(2000,
        "Random groups into which the units of a network's larger layers are summed before they are bootstrapped: "
        "intervals as wide within 1 to 3 %, in a tenth of the time; 0 bootstraps every unit by itself.", unit="groups",
        since="0.2.0", before=0)
    pairs: Literal["all", "within_sessions"] = described("all",
        "Pairs of images over which RDMs of the brain are compared: all, or those within a session only, the mean of "
        "the sessions: without bias even where session means are kept, with less power.", since="0.2.0")
    null_mean: Literal["removed", "kept"] = described("removed",
        "Whether the mean of a similarity's own permutation null is taken off the similarity that is given and drawn. "
        "p is the same; kept, null subjects have positive similarities where session means are removed type by type.",
        since="0.2.0", before="kept")
    brain_interval: Literal["patches", "vertices"] = described("patches",
        "What the brain's intervals are over: patches of neighbouring vertices, with what they share allowed for; or "
        "vertices one by one, the paper's, far too narrow on smooth cortex.", since="0.2.0", before="vertices")
    patches: Annotated[int, Field(ge=4, le=64)] = described(4,
        "Patches into which the vertices of a region are divided for that, half of them in each hemisphere.",
        unit="patches", since="0.2.0")
    network_interval: Literal["images", "units"] = described("images",
        "What a network's intervals are over: images like these, or units.", since="0.2.0", before="units")
    difference: Literal["studentised", "corrected", "swap", "images"] = described("studentised",
        "Test of RE-AI minus RE-AN: AN and AI swapped at random images, each difference in its own standard errors "
        "(`studentised`; in networks as `corrected`), or as it is (`swap`); t with the variance over images without "
        "what pairs count twice (`corrected`); or the paper's bootstrap, which rejects far too rarely (`images`).",
        since="0.2.0", before="images")
    correction: Literal["fdr", "max", "none"] = described("fdr",
        "Correction for the tests of a table, in `p_corrected`: false discovery rate (Benjamini & Hochberg); the "
        "largest of all regions (in a report, of all subjects) or layers in each permutation; or none.",
        since="0.2.0", before="none")
    trend: Literal["exact", "normal"] = described("exact",
        "Mann-Kendall test: exact, or by the normal approximation (always in `paper_p`).", since="0.2.0")
    control_vertices: Literal[0] | Vertices = described(0,
        "Vertices a hemisphere of a second selection, with tables of its own (Fig. S2, claim S2: 200); 0: none; two or "
        "more.", unit="vertices", source="protocol 7", since="0.2.0")
    searchlight_permutations: Annotated[int, Field(ge=0)] = described(0,
        "Permutations behind p in the maps of `searchlight`, uncorrected, by false discovery rate, by the largest "
        "value and by clusters; 0 maps similarities alone. 1000 take minutes.", since="0.2.0")


class AnalysisSettings(Section):
    """Where the BOLD time series come from. ``auto`` takes the only source present, and says which."""

    bold: Literal["auto", "fmriprep", "simulated", "sampled"] = described("auto",
        "Which time series are analysed (`sampled`: fMRIPrep's volumes, brought there by `python -m analysis sample`); "
        "`auto` takes the only source that is there, and says which.",
        source="protocol 5")
    space: str = described("",
        "Surface space of preprocessed time series that are analysed, where several are there: `fsnative`, "
        "`fsaverage5`, `fsLR`, with its density where one name has several (`fsLR den-32k`). All runs must be of one. "
        "Empty: the only one that is there. Simulated ones have one space.", unit="name", since="0.2.0")
    accept: tuple[Literal["uncounted pulses", "missing runs", "exchanged runs"], ...] = described((),
        "What is not refused but told: runs whose pulses were not counted, so that volumes cannot be held against them "
        "(`uncounted pulses`); subjects without some of the sessions or runs that `[main]` plans (`missing runs`); "
        "runs that hold the events of another run, or were acquired while it was played (`exchanged runs`).",
        since="0.2.0", before=("uncounted pulses", "missing runs", "exchanged runs"))
    events_columns: tuple[str, ...] = described((),
        "For events tables of other programs: which of their columns is which of ours, as `ours = theirs` "
        "(`image_id = stim_file`); ours are onset, duration, trial_type, image_id, stim_file, base_image and "
        "presentation. Images are found by image_id, file name or base image.", unit="names", since="0.2.0")
    events_types: tuple[str, ...] = described((),
        "For events tables of other programs: what a trial type of theirs is, as `ours = theirs` (`blank = rest`); "
        "ours are RE, AN, AI, blank, and none for events that are left out.", unit="names", since="0.2.0")

    @field_validator("events_columns", "events_types")
    @classmethod
    def _pairs_have_sides(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        known, once = (EVENT_COLUMNS, 0) if info.field_name == "events_columns" else (EVENT_TYPES, 1)
        return require_pairs(given, known=known, once=once)


class SimulateSettings(Section):
    """The virtual subject. Standard deviations are in percent of the mean signal."""

    subdivisions: Annotated[int, Field(ge=0, le=3)] = described(2,
        "How often the template's triangles are divided in four.")
    mesh: str = described("occipital",
        "The cortex: `occipital`, the back of fsaverage5, refined; `fsaverage5`, all of its 10,242 vertices a "
        "hemisphere, as fMRIPrep writes them; or the folder of a FreeSurfer subject (with surf/), whose occipital "
        "patch is taken.", unit="name or path", since="0.2.0")
    atlas: Literal["analytic", "benson"] = described("analytic",
        "Areas and receptive fields: `analytic`, schematic areas with Horton and Hoyt's magnification; `benson`, the "
        "atlas of Benson et al., which needs neuropythy.", since="0.2.0")
    network: str = described("",
        "Network whose layers drive the regions; its responses must have been taken with `stimuli features "
        "--network`. Empty: the one that the set was made with.", unit="name", since="0.2.0")
    world: Literal["paper", "cnn-like", "both", "null", "pixels"] = described("paper",
        "How AN and AI images are seen: `paper`: AI like their RE, AN not; `cnn-like`: AN like their RE, AI like their "
        "target; `both`: both like their RE; `null`: all images alike; `pixels`: by their pixels alone.", since="0.2.0")
    content: Literal["mixed", "network"] = described("mixed",
        "What drives the regions: pixels (Gabor energy), categories and the network's layers together, or the layers "
        "alone.", since="0.2.0")
    signal_pct: NotNegative = described(2.0,
        "Mean response to an image.", unit="% of the mean signal")
    tuning_sd_pct: NotNegative = described(0.3,
        "Standard deviation of the responses over images.", unit="% of the mean signal", since="0.2.0")
    noise_sd_pct: NotNegative = described(1.0,
        "Standard deviation of the noise that is independent at every vertex.", unit="% of the mean signal")
    smooth_sd_pct: NotNegative = described(1.4,
        "Standard deviation of the noise that is smooth over the surface.", unit="% of the mean signal", since="0.2.0")
    global_sd_pct: NotNegative = described(0.8,
        "Standard deviation of what a few physiological sources do to the whole surface.", unit="% of the mean signal",
        since="0.2.0")
    drift_sd_pct: NotNegative = described(1.0, "Standard deviation of the drifts.", unit="% of the mean signal")
    ar1: Annotated[float, Field(ge=0, lt=1)] = described(0.3,
        "Correlation of the noise from one volume to the next.")
    spikes: NotNegative = described(2.0, "Sudden movements expected in a run.", since="0.2.0")
    spike_pct: NotNegative = described(2.0,
        "Standard deviation of what one does to the signal.", unit="% of the mean signal", since="0.2.0")
    motion_mm: NotNegative = described(0.3,
        "How far the head drifts in a run (root mean square of each direction); 0 for a head that does not move.",
        unit="mm", since="0.2.0")
    motion_pct: NotNegative = described(0.4,
        "Standard deviation of what the head's movement does to the signal.", unit="% of the mean signal",
        since="0.2.0")
    reliability: Annotated[float, Field(gt=0, lt=1)] | None = described(None,
        "Split-half reliability of a vertex over the RE images of a session, as least squares with SPM's response "
        "finds it: all parts of the noise are scaled to it. Unset: the noise is as set.", unit="correlation",
        since="0.2.0")
    unsteady: Annotated[int, Field(ge=0, le=5)] = described(0,
        "Volumes at the start of a run before the magnetisation is steady: brighter, and named as outliers in the "
        "table of confounds.", unit="volumes", since="0.2.0")
    dead_vertices: Share = described(0.0,
        "Share of the vertices without signal, in patches, as where the signal drops out.", unit="share",
        since="0.2.0")
    slice_time_ref: Share = described(0.5,
        "Moment of a volume to which slice timing was corrected, as a share of the repetition time; fMRIPrep's is .5.",
        unit="share", since="0.2.0")
    hrf_lag_sd_s: NotNegative = described(0.5,
        "Standard deviation over vertices of the haemodynamic response's lag.", unit="s", since="0.2.0")
    hrf_width_sd: Share = described(0.1,
        "Standard deviation over vertices of its width.", unit="share", since="0.2.0")
    session_gain_sd: Share = described(0.1,
        "Standard deviation over sessions of the size of all responses.", unit="share", since="0.2.0")
    session_offset_sd: Share = described(0.05,
        "Standard deviation over sessions of the mean signal.", unit="share", since="0.2.0")
