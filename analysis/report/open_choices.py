"""Where the paper is silent or contradicts itself, and what was chosen: repeated in every report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OpenChoice:
    """One open point of the protocol.

    Parameters
    ----------
    topic, paper, here : str
        What it is about, what the paper says, what is done here.
    setting : str or None
        Dotted key of the setting that decides it; None where there is none yet.
    """

    topic: str
    paper: str
    here: str
    setting: str | None = None


OPEN_CHOICES = (
    OpenChoice("Wrong class of an AI image", "“another class”",
               "drawn with the study's seed from the categories outside the image's own class", "stimuli.ai_target"),
    OpenChoice("Visibility of AN noise", "not said; the first AN that reaches P = .99 is a near-uniform grey",
               "a least RMS contrast in grey levels, held while P stays above its bound", "stimuli.an_min_contrast"),
    OpenChoice("Certainty of AN images whose contrast was raised", "stop at P = .99",
               "P is held below a ceiling while the contrast grows", "stimuli.an_ceiling_p"),
    OpenChoice("Objective of AN images", "P − λ‖I − mean‖² (eq. 1)", "the logarithm of P", "stimuli.an_objective"),
    OpenChoice("λ of equation 1", "not given", "no penalty", "stimuli.an_lambda"),
    OpenChoice("Dissimilarity of response patterns", "not named", "1 − Pearson's r", "rsa.dissimilarity"),
    OpenChoice("Means of the two sessions, which show different images", "not said",
               "removed at every vertex, type by type: the baseline error that all images of a session share would "
               "raise RE-AN and RE-AI to about .6 in a subject who saw nothing", "roi.session_means"),
    OpenChoice("Exchange of labels in the brain", "image labels shuffled", "shuffled within sessions: images of two "
               "sessions are not exchangeable"),
    OpenChoice("Sparsity level of ROMP", "not given", "cross-validated inside the RE images", "encoding.sparsity"),
    OpenChoice("Accuracy of encoding models", "correlation over images or over vertices not said",
               "per vertex over images, averaged over vertices", "encoding.correlate"),
    OpenChoice("Denoising of the GLM", "GLMdenoise", "ordinary least squares with polynomial drifts; GLMdenoise is "
               "not here yet", "glm.model"),
    OpenChoice("Haemodynamic response", "estimated by GLMdenoise", "a canonical one", "glm.hrf"),
    OpenChoice("Which AI image of those above P", "not said", "the first one that is reached", "stimuli.ai_method"),
    OpenChoice("Retinotopy: width of the wedge", "not given", "in degrees of polar angle", "retinotopy.wedge_deg"),
    OpenChoice("Retinotopy: width of rings", "not given", "in degrees of visual angle", "retinotopy.ring_deg"),
    OpenChoice("Retinotopy: runs of each session", "not given", "a wedge, a ring and a bar", "retinotopy.runs"),
    OpenChoice("LO localizer: blocks", "16 s blocks of 40 images of 0.8 s, which is 32 s",
               "blocks of 20 images, intact and scrambled in turn", "lo.design"),
    OpenChoice("LO localizer: scrambling", "not given", "cells of a grid change places", "textures.scramble"),
    OpenChoice("LO localizer: task", "not given", "a press when the fixation point changes its colour", "lo.task"),
    OpenChoice("hMT+ localizer: speed of the dots", "size, speed, density, lifetime not given",
               "as CPP_PTB's localizer, in degrees a second", "motion.speed_deg_s"),
)
