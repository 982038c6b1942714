"""Settings of models from a network's units to responses: encoding models, others beside them, predictivity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from subjects.settings.section import Count, Section, described


class EncodingSettings(Section):
    """Forward encoding by regularized orthogonal matching pursuit."""

    sparsity: Literal["cv"] | Count = described("cv",
        "Units in a model: a number, or `cv` to choose it from `candidates` by cross-validation on RE "
        "images.", unit="units", source="protocol 9, open")
    candidates: Annotated[tuple[Count, ...], Field(min_length=1)] = described((1, 2, 4, 8),
        "Numbers of units among which `cv` chooses.", unit="units", source="protocol 9, open")
    folds: Annotated[int, Field(ge=2)] = described(5, "Folds of that cross-validation.", source="protocol 9, open")
    n_permutations: Count = described(1000, "Permutations of the labels for a null distribution.", source="protocol 9")
    n_subsamples: Count = described(1000, "Subsamples of the vertices for an interval.", source="protocol 9")
    subsample: Annotated[float, Field(gt=0, le=1)] = described(0.8,
        "Share of the vertices in a subsample.", unit="share", source="protocol 9")
    correlate: Literal["vertex", "image"] = described("vertex",
        "Prediction and response are correlated over images at each vertex, or over vertices at each "
        "image.", source="protocol 9, open")
    over: Literal["images", "vertices"] = described("images",
        "What the test of AI minus AN and every interval are over: `images`, or 80 % subsamples of vertices, the "
        "paper's, which call unrelated predictions different in most subjects. Those are given beside it either way.",
        source="protocol 9, open", since="0.2.0", before="vertices")
    predicted_p: Annotated[float, Field(gt=0, le=1)] = described(0.05,
        "A vertex is given to the layer that predicts it best (Fig. S1) where the best of as many layers is as good in "
        "no more than this share of exchanged labels; else to none.", source="protocol 9, open", since="0.2.0")
    correction: Literal["fdr", "none"] = described("fdr",
        "Correction for the tests of a table, in `p_corrected`: false discovery rate (Benjamini & Hochberg) over all "
        "regions and layers, for each type of images and reading of the last layer; or none.",
        since="0.2.0", before="none")
    precision: Literal["auto", "float32", "bfloat16"] = described("auto",
        "Of the products by which ROMP searches a layer's units; whatever it misses is multiplied again, so that the "
        "models are the same. `auto`: `bfloat16` for large layers where the processor multiplies it, else `float32`; "
        "`bfloat16` on another processor is slow.", since="0.2.0")


class ComparisonSettings(Section):
    """Other linear models beside ROMP, trained and tested on RE images alone; no part of a result."""

    models: Annotated[tuple[Literal["romp", "ridge", "banded", "omp"], ...], Field(min_length=1)] = described(
        ("romp", "ridge"),
        "Which: `romp`; `ridge` on a layer's units; `banded` ridge on all layers together, a penalty for each, which "
        "needs himalaya; `omp`, orthogonal matching pursuit, which takes some 20 times longer than `romp`.",
        since="0.2.0")
    bands: Literal["layers", "early and late"] = described("layers",
        "Bands of `banded`: every layer, or the earlier and the later half of the layers.", since="0.2.0")
    vertices: Count = described(50, "Vertices of a region that are modelled, evenly along its list.", since="0.2.0")
    folds: Annotated[int, Field(ge=2)] = described(5,
        "Parts of the RE images, each held out once; a model's setting is chosen by as many parts of the others.",
        since="0.2.0")
    n_weights: Count = described(100,
        "Random weightings of the bands among which `banded` chooses for each vertex, besides equal ones and each band "
        "alone.", since="0.2.0")


class PredictivitySettings(Section):
    """How well a network's layers predict responses: partial least squares on held-out images."""

    n_components: Count = described(25, "Components of a model, at most.", since="0.2.0")
    n_splits: Annotated[int, Field(ge=2)] = described(10,
        "Parts into which the images are dealt; each is held out once, and a base image's RE, AN and AI together.",
        since="0.2.0")
    images: tuple[Literal["all", "RE", "AN", "AI"], ...] = described(("all", "RE"),
        "On which images models are trained and tested, each by itself: of all types together, or of one.",
        since="0.2.0")
