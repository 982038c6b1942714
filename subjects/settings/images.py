"""Settings of the image set, of what is made otherwise to see how much hangs on it, and of the textures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from subjects.settings.section import Count, NotNegative, Positive, Probability, Section, described


class StimuliSettings(Section):
    """The stimulus set. Probabilities are judged on the 8-bit image; steps are L2 on RGB in [0, 1]."""

    network: str = described("demo",
        "Network that the images are made with and checked against: a name of `python -m stimuli "
        "networks`, or `package.module:function` of your own, which asks for --trust.", source="protocol 1")
    weights: str | None = described(None,
        "File with the network's weights; unset: the place where the network looks for its own.",
        unit="path", source="protocol 1")
    preprocessing: str | None = described(None,
        "Preprocessing of the network's input, by name (`python -m stimuli networks`); unset: the "
        "network's own.", source="protocol 1")
    tap: str | None = described(None,
        "Where layers 1 and 2 are read, by the names that the network offers; unset: the network's own "
        "choice.", source="protocol 8, open")
    layers: tuple[str, ...] = described((),
        "Modules of the network that stand for its layers before the softmax, by name or pattern (docs/stimuli.md); "
        "unset: AlexNet's own layers, and of other networks those of the rule.", source="protocol 8, open",
        since="0.2.0")
    taps: tuple[str, ...] = described((),
        "Modules that are read and compared beside the layers, by name or pattern; they are no layers in trends, "
        "counts and encoding models.", since="0.2.0")
    second_network: str | None = described(None,
        "A second network, which AN and AI are made with as well; a subject is shown half of them (docs/stimuli.md). "
        "It has the first one's categories and input size.", since="0.2.0")
    second_weights: str | None = described(None,
        "File with the second network's weights; unset: the place where it looks for its own.", unit="path",
        since="0.2.0")
    second_preprocessing: str | None = described(None,
        "Preprocessing of the second network's input, by name; unset: its own.", since="0.2.0")
    classes: tuple[str, ...] = described(("dogs", "birds", "cars", "fruits", "aquatic"),
        "Classes of things, in the order of the manifest.", source="protocol 1")
    animal_classes: tuple[str, ...] = described(("dogs", "birds", "aquatic"),
        'Classes for which "animal" is the right answer.', source="protocol 2")
    per_class: Count = described(8, "Base images of each class.", source="protocol 1")
    size_px: Count = described(227,
        "Side of the square images; it must be the network's input.", unit="px", source="protocol 1")
    images: str | None = described(None,
        "Folder of photographs from which RE images are chosen; unset: they are drawn.",
        unit="path", source="protocol 1")
    labels: str | None = described(None,
        "Table of the photographs' labels; unset: labels.tsv in their folder, or one folder a category.", unit="path")
    class_lists: Literal["core", "wide"] = described("core",
        "Which of ImageNet's categories count for a class: those that a subject sees as what the class says, or also "
        "the others (rapeseed, streetcar, isopod, ...; docs/photographs.md). A pinned one is taken from either.",
        since="0.2.0", before="wide")
    resize: Literal["warp", "warp-crop", "crop"] = described("warp",
        "How a photograph becomes square: the whole of it warped, warped to 256 px with the centre cut "
        "out (Caffe), or its short side to 256 px with the centre cut out (torchvision).", source="protocol 1")
    min_px: Annotated[int, Field(ge=0)] = described(227,
        "A photograph's width and height must be greater.", unit="px", source="protocol 1")
    min_aspect: Positive = described(2.0 / 3.0,
        "A photograph's width over height must be greater.", unit="ratio", source="protocol 1")
    max_aspect: Positive = described(1.5,
        "A photograph's width over height must be smaller.", unit="ratio", source="protocol 1")
    exclude: tuple[str, ...] = described((), "Photographs (files), categories or wnids that are not taken.")
    pin: tuple[str, ...] = described((),
        "Photographs, categories or wnids that are taken whatever their rank by P; they must meet the "
        "rules.")
    shortfall: Literal["refuse", "best"] = described("refuse",
        "What happens where a class has too few photographs above `re_p`: an error, or the next highest P "
        "below it.")
    mean_image: str | None = described(None,
        "Image at which AN images start: unset, the network's mean; `channels`, that mean averaged over "
        "pixels; `folder`, the mean of the photographs; or a file of Caffe's.", unit="path", source="protocol 1")
    re_p: Probability = described(0.99,
        "P of its own category that an RE image must exceed.", unit="probability", source="protocol 1")
    an_p: Probability = described(0.99,
        "P of its category that an AN image must exceed.", unit="probability", source="protocol 1")
    ai_p: Probability = described(0.99,
        "P of its target category that an AI image must exceed.", unit="probability", source="protocol 1")
    an_min_contrast: NotNegative = described(12.0,
        "RMS contrast that an AN image has at least: the standard deviation about each channel's mean, as the manifest "
        "has it.", unit="grey levels")
    an_contrast_tolerance: Positive | None = described(0.1,
        "Share by which an AN image's contrast may exceed `an_min_contrast`; its P then also stays below "
        "`an_ceiling_p`. Unset: neither has an upper bound.", unit="ratio", since="0.2.0", before=None)
    near_duplicate_bits: Annotated[int, Field(ge=0, le=63)] = described(10,
        "Two RE images whose 63-bit DCT hashes differ in at most so many bits are named as near "
        "duplicates.", unit="bits")
    an_ceiling_p: Annotated[float, Field(gt=0, le=1)] = described(0.995,
        "P below which an AN image ends: the ascent aims between `an_p` and it, and lowers P again where the growing "
        "contrast lifts it; 1 for no bound.", unit="probability")
    an_goal_p: Probability | None = described(None,
        "P up to which AN images go on, without a ceiling; unset: they stop when they meet the rules.",
        unit="probability")
    an_objective: Literal["log_prob", "prob"] = described("log_prob",
        "What the ascent of AN images maximises: log P, or P as in equation (1).", source="protocol 1")
    an_lambda: NotNegative = described(0.0,
        "Weight of the squared L2 distance from the start in equation (1), on RGB in [0, 1].",
        source="protocol 1, open")
    an_step: Positive = described(0.5, "Length of a step of the ascent of AN images (L2 on RGB in [0, 1]).", unit="L2")
    ai_step: Positive = described(0.2, "Length of a step of the ascent of AI images (L2 on RGB in [0, 1]).", unit="L2")
    ai_method: Literal["first-hit", "minimal"] = described("first-hit",
        "The first AI image above `ai_p`, or the smallest perturbation found in `ai_search` steps.")
    ai_search: Count = described(200, "Steps of the search for the smallest perturbation.", unit="steps")
    ai_target: Literal["other_class", "nearest", "least_likely", "any", "table"] = described("other_class",
        "Target category of an AI image: drawn from those of the other classes, the nearest wrong one, "
        "the least likely one, any one, or named in `ai_target_table`.", source="protocol 1, open")
    ai_draw: Literal["derangement", "class_to_class", "independent"] = described("derangement",
        'How `ai_target = "other_class"` draws: every category of the study is the target once; the same, and all of a '
        "class have targets in one other class; or every image by itself, so that some categories are drawn twice and "
        "others "
        "never.", source="protocol 1, open", since="0.2.0", before="independent")
    ai_target_table: str | None = described(None,
        'Table with columns `base_image` and `target`; it belongs to `ai_target = "table"`.',
        unit="path", source="protocol 1, open")
    max_iterations: Count = described(1000, "Steps after which the ascent gives an image up.", unit="steps")
    features_dtype: Literal["float32", "float16"] = described("float32", "How the layers' responses are stored.")
    batch: Count = described(20,
        "Images that go through the network at a time; no result depends on it beyond rounding.", unit="images")

    @model_validator(mode="after")
    def _animals_are_classes(self) -> StimuliSettings:
        unknown = set(self.animal_classes) - set(self.classes)
        if unknown:
            raise ValueError(f"animal_classes names {sorted(unknown)}, which classes does not")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes names one class twice")
        if self.an_ceiling_p <= self.an_p:
            raise ValueError("an_ceiling_p is not above an_p")
        if self.an_goal_p is not None and self.an_goal_p < self.an_p:
            raise ValueError("an_goal_p is below an_p")
        if (self.ai_target == "table") != (self.ai_target_table is not None):
            raise ValueError('ai_target "table" and ai_target_table belong together')
        if not self.min_aspect < self.max_aspect:
            raise ValueError("min_aspect is not below max_aspect")
        if self.second_network is None and (self.second_weights or self.second_preprocessing):
            raise ValueError("second_weights and second_preprocessing belong to a second_network")
        both = set(self.pin) & set(self.exclude)
        if both:
            raise ValueError(f"pin and exclude both name {sorted(both)}")
        return self


class TexturesSettings(Section):
    """Textures of objects, faces and words on pink noise, and pairs of intact and scrambled pictures."""

    folder: str | None = described(None,
        "Folder of your own pictures in sub-folders object, face, word, intact, scrambled; unset: they "
        "are drawn.", unit="path")
    size_px: Annotated[int, Field(ge=32, le=2048)] = described(512, "Side of the square textures.", unit="px")
    n_objects: Annotated[int, Field(ge=0)] = described(34, "Textures of objects.", source="protocol 3")
    n_faces: Annotated[int, Field(ge=0)] = described(34, "Textures of faces.", source="protocol 3")
    n_words: Annotated[int, Field(ge=0)] = described(34, "Textures of words.", source="protocol 3")
    n_pictures: Annotated[int, Field(ge=0)] = described(40,
        "Pairs of an intact and a scrambled picture for the LO localizer.", source="protocol 4")
    words: str = described("en", "Words that are written: en or zh, which are shipped, or a text file of words in any "
        "script, UTF-8, between spaces or lines; a path is relative to the study's folder.", unit="path", since="0.2.0")
    font: str | None = described(None, "Font of the words, with every character of theirs (a face of a collection as "
        "FILE#2; for zh its Simplified Chinese face is found); unset: four fonts that matplotlib brings, which have "
        "Latin, Greek and Cyrillic letters.", unit="path", since="0.2.0")
    noise_exponent: NotNegative = described(1.0,
        "Exponent of the noise behind the textures: amplitude falls with frequency to this power; 1 is "
        "pink.", source="protocol 3")
    noise_sd: NotNegative = described(30.0, "Standard deviation of that noise.", unit="grey levels")
    pieces_across: Count = described(6, "Objects or faces side by side in a texture.")
    words_across: Count = described(7, "Words side by side in a texture.")
    scramble: Literal["grid", "phase"] = described("grid",
        "How a picture is scrambled: cells of a grid change places, or the phases are drawn at random.",
        source="protocol 4, open")
    scramble_cells: Annotated[int, Field(ge=2)] = described(16,
        "Cells of that grid along a side.", source="protocol 4, open")

    @model_validator(mode="after")
    def _cells_fit(self) -> TexturesSettings:
        if self.scramble == "grid" and self.size_px % self.scramble_cells:
            raise ValueError(f"scramble_cells does not divide size_px = {self.size_px}")
        return self


class RobustnessSettings(Section):
    """What is made otherwise to see how much of N1 to N3 hangs on it; see ``python -m analysis robustness``."""

    contrasts: tuple[NotNegative, ...] = described((0.0, 6.0, 12.0, 24.0),
        "Least contrasts with which AN are made beside the set's own; 0: the first AN that reaches P.",
        unit="grey levels", since="0.2.0")
    target_seeds: Annotated[int, Field(ge=0)] = described(4,
        "Further draws of the AI's targets by the set's own rule.", unit="draws", since="0.2.0")
    target_rules: tuple[Literal["derangement", "class_to_class", "independent", "nearest", "least_likely", "any"],
                        ...] = described(("class_to_class", "nearest"),
        "Other rules of the AI's targets.", since="0.2.0")
    taps: tuple[str, ...] = described(("after norm and pool", "before norm and pool"),
        "Where layers are read, beside the set's own choice: names of taps that the network offers, or the modules "
        "that stand for its layers, by names or patterns with spaces between them (docs/stimuli.md).",
        since="0.2.0")
