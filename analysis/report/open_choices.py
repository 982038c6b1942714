"""Where the paper is silent or contradicts itself, and what was chosen: one list for every report and for the docs.

``python -m analysis open-points --markdown`` writes ``docs/open-points.md`` from it; every setting whose source is an
open row of the protocol is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HEAD = """\
# Where the paper is silent, and what is done here

Written by `python -m analysis open-points --markdown`; the texts are those of `analysis/report/open_choices.py`, and
the same list, with the study's own values, is in every report.

Every number of the protocol is a default of a setting and listed in [protocol.md](protocol.md). A study that departs
from one says so in its report. The open points:

| about | the paper | here, by default | settings |
|---|---|---|---|
"""
_FOOT = """
The paper discards the first volumes before slice timing correction; fMRIPrep does not, so here they are discarded after
it.
"""


@dataclass(frozen=True)
class OpenChoice:
    """One open point of the protocol.

    Parameters
    ----------
    topic, paper, here : str
        What it is about, what the paper says, what is done here by default.
    settings : tuple of str
        Dotted keys of the settings that decide it; empty where there is none.
    """

    topic: str
    paper: str
    here: str
    settings: tuple[str, ...] = ()

    def values(self, in_force: Mapping[str, Any]) -> dict[str, Any]:
        """Pick those settings from all that are in force (:func:`~subjects.settings.study.leaves`), by dotted key."""
        return {key: in_force[key] for key in self.settings}


OPEN_CHOICES = (
    OpenChoice("Wrong class of an AI image", "“another class”", "one of the 40, outside the image's own class, drawn "
               "with the study's seed so that each category is the target once; class to class, each image by itself, "
               "the nearest, the least likely, any of the network's or a table on offer. The choice decides RE-AI at "
               "the output: with SqueezeNet on 40 photographs it is .27 to .32 by the logits for random targets, .46 "
               "class to class, .95 for the nearest (by the softmax .08, .10, .18)",
               ("stimuli.ai_target", "stimuli.ai_draw", "stimuli.ai_target_table")),
    OpenChoice("Visibility of AN noise", "not said; the first AN that reaches P = .99 is a near-uniform grey",
               "12 to 13.2 grey levels RMS about each channel's mean, reached while P stays above its bound",
               ("stimuli.an_min_contrast", "stimuli.an_contrast_tolerance")),
    OpenChoice("Certainty of AN images whose contrast was raised", "stop at P = .99",
               "P ends below .995, judged on the written file", ("stimuli.an_ceiling_p",)),
    OpenChoice("Objective of AN images", "P − λ‖I − mean‖² (eq. 1)", "the logarithm of P; `prob` on offer",
               ("stimuli.an_objective",)),
    OpenChoice("λ of equation 1", "not given", "0, no penalty", ("stimuli.an_lambda",)),
    OpenChoice("How a photograph becomes square", "resized to 227 × 227", "warped to the network's input; Caffe's and "
               "torchvision's crops on offer", ("stimuli.resize",)),
    OpenChoice("Fewer than 8 photographs of a class above the bound on P", "not said", "the build stops and says so; "
               "`best` fills up with the highest P, listed by the check", ("stimuli.shortfall",)),
    OpenChoice("Mean image from which AN start", "mean of all ImageNet images", "the network's own; Caffe's file, the "
               "folder's or the channel means on offer", ("stimuli.mean_image",)),
    OpenChoice("Which AI image of those above P", "not said", "the first one that is reached; the smallest "
               "perturbation on offer", ("stimuli.ai_method",)),
    OpenChoice("Fixation point on pictures of its own colour", "not said", "it is on a disk of the background's grey, "
               ".4 deg across, on images and on the LO localizer's pictures, as it is in a blank; none in retinotopy "
               "and hMT+. On the demo set the colour difference (CIE 1976) at its rim is then at least 105 (main) and "
               "47 (LO), and 28 and 0 without", ("main.surround_deg", "lo.surround_deg", "retinotopy.surround_deg")),
    OpenChoice("Retinotopy: widths of wedge, ring and bar", "not given", "90 degrees of polar angle, 1.5 and 1.5 "
               "degrees of visual angle", ("retinotopy.wedge_deg", "retinotopy.ring_deg", "retinotopy.bar_deg")),
    OpenChoice("Retinotopy: runs of each session", "not given", "a wedge, a ring and a bar", ("retinotopy.runs",)),
    OpenChoice("Retinotopy: course of rings and start of wedges", "“after Kay's stimuli”", "rings of one width at one "
               "speed, the wedge's middle at the right horizontal meridian; `kay`: rings that grow as in the published "
               "masks of this stimulus (mean eccentricity .01 .04 .15 .44 .81 of the radius along a sweep, where an "
               "even ring gives .04 .22 .47 .73 .93), wedges 45 degrees from there. The growth is fitted to those five "
               "figures, and the side of the 45 degrees (counter-clockwise) is ours: compare with the published masks "
               "before pooling runs with them", ("retinotopy.preset", "retinotopy.wedge_start_deg")),
    OpenChoice("Retinotopy: volumes discarded", "not given (localizers: 14 and 6 s)", "the first 14 s, within the "
               "blank that every run begins with; the apertures of that time still enter the prediction",
               ("prf.discard_s",)),
    OpenChoice("LO localizer: blocks", "16 s blocks of 40 images of 0.8 s, which is 32 s", "blocks of 20 images, "
               "intact and scrambled in turn; `within` on offer", ("lo.design",)),
    OpenChoice("LO localizer: scrambling", "not given", "a grid of 16 × 16 cells that change places; random phases on "
               "offer", ("textures.scramble", "textures.scramble_cells")),
    OpenChoice("LO localizer: task", "not given", "a press when the fixation point changes its colour; one-back on "
               "offer", ("lo.task",)),
    OpenChoice("Localizers: scattered vertices", "not named", "connected pieces below 20 mm² are left out and counted; "
               "on virtual subjects Dice of hMT+ is then .96 instead of .76", ("localizers.min_area_mm2",)),
    OpenChoice("hMT+ localizer: dots", "size, speed, density, lifetime, direction not given", "as CPP_PTB's localizer: "
               ".2 deg, 15 deg/s, 1 a square degree, .4 s; in and out in turn every 2 s, none within .5 deg of "
               "fixation; born and ended so that they are spread uniformly at every time, for which a life is shorter "
               "than .4 s (.14 s in the mean)",
               ("motion.dot_deg", "motion.speed_deg_s", "motion.density", "motion.lifetime_s", "motion.direction_s",
                "motion.inner_deg")),
    OpenChoice("Blank predictor of two sessions", "one for all blank trials, 241 conditions", "one a session: every "
               "session is fitted alone, 121 conditions (242 rows in all); one joint fit on offer", ("glm.sessions",)),
    OpenChoice("“Presentation” of an image that is shown twice in each of 5 runs", "2 presentations", "the first and "
               "the second showing within a run, each pooled over runs; odd and even runs, each denoised by itself, on "
               "offer", ("glm.partition",)),
    OpenChoice("Denoising of the GLM", "GLMdenoise", "GLMdenoise (Kay et al. 2013), its published steps and defaults; "
               "ordinary least squares and AR(1) on offer, the former in studies of release 0.1.0", ("glm.model",)),
    OpenChoice("Haemodynamic response", "by GLMdenoise, how not said", "fitted to the 50 vertices that the conditions "
               "explain best, from SPM's canonical one on, which is kept where the fit is far from it (R² below 50 %); "
               "the canonical one as it is, GLMdenoise's own, a derivative and single lags on offer",
               ("glm.hrf", "glm.hrf_fit", "glm.basis")),
    OpenChoice("Where the responses of a network's layer are read", "“layers 1–8”", "the network's own choice: for "
               "AlexNet after normalisation and pooling of layers 1 and 2; other places on offer", ("stimuli.tap",)),
    OpenChoice("Modules that stand for layers 1 to 8 in networks that are not AlexNet", "“layers 1–8” of AlexNet",
               "the first block with weights; those between it and the last in six consecutive groups, the later ones "
               "larger, of which the last block stands for the layer; the softmax (docs/stimuli.md). With SqueezeNet "
               "and 40 photographs RE-AN rises with tau = .71 where conv1, fire2, fire4, fire6 to fire9 and the "
               "softmax are the layers, and with .43 where all eight fires are: report the modules with the trend",
               ("stimuli.layers",)),
    OpenChoice("Dissimilarity of response patterns", "not named", "1 − Pearson's r; Euclidean distances, the cosine, "
               "and distances in units of the noise (Mahalanobis, crossnobis) on offer", ("rsa.dissimilarity",)),
    OpenChoice("Disks at the border of a region", "“all vertices within 3 mm”; across it or not is not said", "a disk "
               "holds the vertices of its centre's own region: disks that reach across let the neighbour decide, and "
               "the chosen vertices then hug the border (within 3 mm of it: .98 of those chosen in V1, .37 of all); "
               "whole disks on offer, and in studies of release 0.1.0", ("roi.disk", "roi.along")),
    OpenChoice("Means of the two sessions, which show different images", "not said",
               "removed at every vertex, type by type in each presentation: the baseline error that "
               "all images of a session share would "
               "raise RE-AN and RE-AI to about .6 in a subject who saw nothing. That removal leaves similarities "
               "of .02 to .12 in such a subject: the mean of the permutation null, which is taken off. One mean over "
               "types, or pairs within sessions only, on offer", ("roi.session_means", "rsa.null_mean", "rsa.pairs")),
    OpenChoice("Exchange of labels in the brain", "image labels shuffled", "shuffled within sessions: images of two "
               "sessions are not exchangeable (with session means removed by type, free permutations reject 97 % of "
               "null subjects at 200 independent vertices, 14 % where noise is smooth over 1 mm)"),
    OpenChoice("Test of the difference RE-AI − RE-AN", "40 images redrawn 1000 times; two readings; p < .0001, which "
               "1000 draws cannot give (the least is .002)", "AN and AI swapped at random images, each difference in "
               "its own standard errors over images (in networks t with the variance over images); the bootstrap "
               "counts what pairs of images add three times and rejects hardly ever. Both readings stand beside it, in "
               "`paper_p` and `paper_p_mean`; more draws by `rsa.n_bootstraps`", ("rsa.difference",)),
    OpenChoice("Bars of similarities in the brain", "68 %, bootstrap over vertices", "68 %, over patches of "
               "neighbouring vertices, wider by what these share: on smooth cortex bars over single vertices hold the "
               "truth in a third of them. Those, shifted to the estimate (drawing vertices twice lowers every "
               "similarity), in `paper_low` and `paper_high`", ("rsa.brain_interval", "rsa.patches")),
    OpenChoice("Intervals of similarities in the network", "95 %, over what not said", "over images like these; over "
               "units in `paper_low` and `paper_high`", ("rsa.network_interval",)),
    OpenChoice("Correction for the number of tests", "not said", "none in p; false discovery rate within a table in "
               "`p_corrected`; the largest similarity of all regions and subjects in each permutation on offer",
               ("rsa.correction", "encoding.correction")),
    OpenChoice("p of the trend over layers", "Mann-Kendall; exact or not is not said", "exact; by the normal "
               "approximation in `paper_p` (of eight layers it cannot be below .0008, where .00005 is exact)",
               ("rsa.trend",)),
    OpenChoice("Sparsity level of ROMP", "not given", "cross-validated inside the RE images",
               ("encoding.sparsity", "encoding.candidates", "encoding.folds")),
    OpenChoice("Accuracy of encoding models", "correlation over images or over vertices not said",
               "per vertex over images, averaged over vertices", ("encoding.correlate",)),
    OpenChoice("Test of AI against AN, and the intervals of encoding models", "subsamples of 80 % of the vertices",
               "over images: all vertices share 40 images, and the subsamples call unrelated predictions different in "
               "most subjects. The difference over its error, images left out one at a time, against labels exchanged "
               "within sessions; intervals by the same. The paper's in `paper_low`, `paper_high` and `paper_p`",
               ("encoding.over",)),
    OpenChoice("Best layer of a vertex (Fig. S1)", "“best explained by”; nothing of vertices that no layer explains, "
               "nor of which presentation trains", "trained on the mean of both presentations, tested on each; a "
               "vertex whose best layer is no better than the best in exchanged labels is given to none and told apart",
               ("encoding.predicted_p",)),
    OpenChoice("Test of the shares of vertices by layer", "paired t over six measurements (three people, two "
               "presentations); what regions count as, it does not say", "t over people, whose measurements are "
               "averaged: those of one person are not independent; the paired t over all measurements in the "
               "scorecard's words beside it, 30 of low against high layers (five regions), six of LO against V1"),
)


def as_markdown() -> str:
    """Write ``docs/open-points.md``."""
    lines = []
    for one in OPEN_CHOICES:
        keys = ", ".join(f"`{key}`" for key in one.settings) or "–"
        cells = (one.topic, one.paper, one.here, keys)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return _HEAD + "\n".join(lines) + "\n" + _FOOT
