"""Real models, trained on real data, as ONNX files that a cluster can download.

Two models: `tumour` (scikit-learn's breast-cancer set: 30 measurements, malignant or benign) with
a history of good and bad versions, and `digits` (8 x 8 images) with one. Training is
deterministic; what was made is kept in a folder and made again only when the recipe or a library
changed. This module knows nothing of servers and clusters.
"""

import hashlib
import importlib.metadata
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from bench import defects

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

Behaviour = Literal["good", "errors", "crash", "hang", "refuses", "slow", "half"]

TUMOUR: Final = "tumour"
DIGITS: Final = "digits"
INPUT: Final = "X"
LABEL: Final = "label"
PROBABILITIES: Final = "probabilities"
OPSET: Final = {"": 17, "ai.onnx.ml": 3}
SAMPLES_FILE: Final = "samples.json"
CATALOGUE_FILE: Final = "catalogue.json"
FEW_MEASUREMENTS: Final = 10
DISTANCE_MIN: Final = (
    1e-3  # hundred times what an answer may be off: an answer belongs to one version
)
_LIBRARIES: Final = ("scikit-learn", "skl2onnx", "onnx")
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a model.

    `accuracy` is the share of right answers on held-out data; None for a version that is not meant
    to answer. `digest` is "sha256:…" of the file. `sibling` is the version whose outputs this one
    has where it answers: itself unless it is a defective copy; None if every answer is wrong.
    """

    model: str
    version: str
    behaviour: Behaviour
    note: str
    file: str
    digest: str
    accuracy: float | None
    sibling: str | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All releases, and the folder that holds their files and samples."""

    folder: Path
    releases: tuple[Release, ...]

    def release(self, model: str, version: str) -> Release:
        """Find a release; KeyError names what exists."""
        for release in self.releases:
            if (release.model, release.version) == (model, version):
                return release
        known = ", ".join(f"{release.model} {release.version}" for release in self.releases)
        raise KeyError(f"no release {model} {version}: there are {known}")

    def samples(self, model: str) -> Path:
        """File of request rows and expected answers of a model, for `bench.samples`."""
        return self.folder / model / SAMPLES_FILE


def make(folder: Path) -> Catalogue:
    """Train, export and describe all releases in `folder`, or take what is there if it is current.

    Takes about ten seconds when something is to be made. Safe against an interruption: the
    catalogue is written last.
    """
    recipe = _recipe_digest()
    path = folder / CATALOGUE_FILE
    if path.is_file():
        kept = json.loads(path.read_text())
        if kept["recipe"] == recipe and _is_whole(folder, kept["releases"]):
            return Catalogue(folder, tuple(Release(**each) for each in kept["releases"]))
    path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    releases = (*_make_tumour(folder), *_make_digits(folder))
    document = {"recipe": recipe, "releases": [asdict(release) for release in releases]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return Catalogue(folder, releases)


def _recipe_digest() -> str:
    """Digest of everything that a file's content depends on."""
    digest = hashlib.sha256()
    for source in (__file__, defects.__file__):
        digest.update(Path(source).read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library}={importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()


def _is_whole(folder: Path, releases: list[dict[str, Any]]) -> bool:
    for release in releases:
        path = folder / release["file"]
        if not (path.parent / SAMPLES_FILE).is_file():
            return False
        if not path.is_file() or _file_digest(path.read_bytes()) != release["digest"]:
            return False
    return True


def _file_digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _make_tumour(folder: Path) -> tuple[Release, ...]:
    from sklearn.compose import make_column_transformer
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = _split(load_breast_cancer())
    few = list(range(FEW_MEASUREMENTS))
    first = make_pipeline(
        make_column_transformer((StandardScaler(), few)), LogisticRegression(max_iter=1000)
    )
    better = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    narrow = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    first.fit(data.train_rows, data.train_labels)
    better.fit(data.train_rows, data.train_labels)
    narrow.fit(data.train_rows[:, few], data.train_labels)
    good = _export(better, width=30, name=TUMOUR)
    shelf = _Shelf(folder, TUMOUR, data)
    releases = (
        shelf.put(
            "1.0.0",
            "good",
            _export(first, width=30, name=TUMOUR),
            note=f"looks at the first {FEW_MEASUREMENTS} measurements",
        ),
        shelf.put("1.1.0", "good", good, note="looks at all 30 measurements"),
        *_put_defects(shelf, good),
        shelf.put(
            "1.5.0",
            "refuses",
            _export(narrow, width=FEW_MEASUREMENTS, name=TUMOUR),
            note=f"asks for {FEW_MEASUREMENTS} measurements instead of 30",
        ),
    )
    shelf.write_samples()
    return tuple(sorted(releases, key=lambda release: release.version))


def _put_defects(shelf: "_Shelf", good: "ModelProto") -> tuple[Release, ...]:
    """Write copies of a healthy model, each with a defect of its own."""
    return (
        shelf.put(
            "1.2.0",
            "errors",
            defects.looks_up_by_wrong_column(good),
            note="looks up its calibration by the wrong column",
        ),
        shelf.put(
            "1.3.0",
            "crash",
            defects.sizes_histogram_by_value(good),
            note="allocates 1.6 GB for large tumours",
            sibling="1.1.0",
        ),
        shelf.put(
            "1.4.0",
            "hang",
            defects.iterates_until_exact(good),
            note="iterates to a tolerance that float32 cannot reach",
        ),
        shelf.put(
            "1.6.0",
            "slow",
            defects.recomputes_many_times(good),
            note="computes some 0.3 s for every answer",
            sibling="1.1.0",
        ),
        shelf.put(
            "1.7.0",
            "half",
            defects.has_table_of_small_tumours(good),
            note="has a calibration for small tumours only",
            sibling="1.1.0",
        ),
    )


def _make_digits(folder: Path) -> tuple[Release, ...]:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = _split(load_digits())
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(data.train_rows, data.train_labels)
    shelf = _Shelf(folder, DIGITS, data)
    graph = _export(model, width=64, name=DIGITS)
    release = shelf.put("1.0.0", "good", graph, note="8 x 8 pixels, 10 classes")
    shelf.write_samples()
    return (release,)


@dataclass(frozen=True, slots=True)
class _Data:
    """A data set, cut in two: rows are float32 of shape (samples, features)."""

    train_rows: "NDArray[Any]"
    train_labels: "NDArray[Any]"
    test_rows: "NDArray[Any]"
    test_labels: "NDArray[Any]"


def _split(bunch: Any) -> _Data:
    import numpy
    from sklearn.model_selection import train_test_split

    rows = bunch.data.astype(numpy.float32)
    train_rows, test_rows, train_labels, test_labels = train_test_split(
        rows, bunch.target, test_size=0.35, random_state=_SEED, stratify=bunch.target
    )
    return _Data(train_rows, train_labels, test_rows, test_labels)


def _export(model: Any, *, width: int, name: str) -> "ModelProto":
    """Convert to ONNX: X float32 (batch, width) to label int64 and probabilities float32."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    converted: ModelProto = to_onnx(
        model,
        initial_types=[(INPUT, FloatTensorType([None, width]))],
        options={"zipmap": False},
        target_opset=OPSET,
        name=name,  # a random one otherwise: the same model would have another digest each time
    )
    return converted


class _Shelf:
    """Writes the releases of one model, and the answers that each must give to the samples."""

    def __init__(self, folder: Path, model: str, data: _Data) -> None:
        self._folder = folder
        self._model = model
        self._data = data
        self._answers: dict[str, list[list[float]]] = {}
        self._good: list[str] = []
        (folder / model).mkdir(parents=True, exist_ok=True)

    def put(
        self,
        version: str,
        behaviour: Behaviour,
        graph: "ModelProto",
        *,
        note: str,
        sibling: str | None = None,
    ) -> Release:
        """Write one release; `sibling` as in `Release`, for a defective copy."""
        import onnx

        onnx.checker.check_model(graph)
        content = graph.SerializeToString(deterministic=True)
        file = f"{self._model}/{version}.onnx"
        (self._folder / file).write_bytes(content)
        accuracy = None
        if behaviour == "good":
            sibling = version
            self._good.append(version)
            self._answers[version], accuracy = self._ask(content)
        elif sibling is not None:
            self._answers[version] = self._answers[sibling]
        return Release(
            model=self._model,
            version=version,
            behaviour=behaviour,
            note=note,
            file=file,
            digest=_file_digest(content),
            accuracy=accuracy,
            sibling=sibling,
        )

    def _ask(self, content: bytes) -> tuple[list[list[float]], float]:
        """Answer every held-out row, one at a time as a client would: [label, probabilities…]."""
        session = session_of(content)
        answers: list[list[float]] = []
        for row in self._data.test_rows:
            label, probabilities = session.run([LABEL, PROBABILITIES], {INPUT: row[None, :]})
            answers.append([int(label[0]), *(float(value) for value in probabilities[0])])
        truths = self._data.test_labels.tolist()
        right = sum(answer[0] == truth for answer, truth in zip(answers, truths, strict=True))
        return answers, round(right / len(answers), 4)

    def write_samples(self) -> None:
        """Keep the rows on which the good versions can be told apart, with all their answers."""
        rows = self._data.test_rows.tolist()
        chosen = [index for index in range(len(rows)) if self._tells_versions_apart(index)]
        document = {
            "model": self._model,
            "rows": [rows[index] for index in chosen],
            "answers": {
                version: [answers[index] for index in chosen]
                for version, answers in self._answers.items()
            },
        }
        (self._folder / self._model / SAMPLES_FILE).write_text(json.dumps(document))

    def _tells_versions_apart(self, index: int) -> bool:
        answers = [self._answers[version][index] for version in self._good]
        return all(
            max(abs(a - b) for a, b in zip(one, other, strict=True)) > DISTANCE_MIN
            for one, other in itertools.combinations(answers, 2)
        )


def session_of(content: bytes, *, providers: Sequence[str] = ("CPUExecutionProvider",)) -> Any:
    """Load a graph with onnxruntime, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # the errors of defective graphs are expected where this is used
    return onnxruntime.InferenceSession(content, options, providers=list(providers))
