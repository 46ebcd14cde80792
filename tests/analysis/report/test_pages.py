"""Pages of runs, in a browser: they load, show what was learned from, and run no name as code."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from toys import make_data, make_trainer

from unitf.analysis.attention.maps import AttentionMap, SampleAttention
from unitf.analysis.attention.page import write_page
from unitf.analysis.attention.token_groups import TokenGroup
from unitf.analysis.report import write_report
from unitf.cli import main
from unitf.tokenizer import Canvas
from unitf.tokenizer.shown import described

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CLASSES = ("<script>alert(1)</script>", "\"quoted'&amp;_" + "x" * 90)
WIDTHS = (400, 1600)
RECIPE = """
model:
  core: {dim: 16, depth: 2, num_heads: 2}
  tokenizers:
    image: {ImagePatches: {patch: 4, size: 8}}
    sound: {WaveformFrames: {sample_rate: 800, window: 0.05}}
    text: Characters
    cells: {TableCells: {numbers: [size]}}
  tasks:
    kind: {Classification: {inputs: [image, sound, text, cells], target: kind}}
    size: {Regression: {inputs: [image], target: size}}
data:
  root: ROOT
  sources: {things: {Table: {path: "<i>'things.csv", split: {parts: {validation: 0.3, test: 0.4}}}}}
  batch_size: 16
  num_workers: 0
trainer: {max_epochs: 2, accelerator: cpu, enable_progress_bar: false, logger: true}
"""
# says of each page in a frame what a person would see of it; `--dump-dom` prints it
WATCHER = """<body><script>
const pages = PAGES, results = [];
async function look([file, width]) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `border: 0; width: ${width}px; height: 900px`;
  frame.src = file;
  const loaded = new Promise(done => frame.onload = done);
  document.body.append(frame);
  await loaded;
  const page = frame.contentDocument;
  const images = [...page.images], players = [...page.querySelectorAll("audio, video")];
  players.forEach(player => { player.preload = "auto"; player.load(); });
  await Promise.all(players.map(player => player.readyState || player.error ? 0 :
    new Promise(done => { player.onloadedmetadata = player.onerror = done; })));
  results.push({
    file: file.split("/").pop(), width,
    overflow: page.scrollingElement.scrollWidth - width,
    images: images.length, broken: images.filter(image => !image.naturalWidth).length,
    players: players.length, silent: players.filter(player => !(player.duration > 0)).length,
    scripts: page.scripts.length,
    headings: [...page.querySelectorAll("h2")].map(heading => heading.textContent),
    text: page.body.innerText, looks: await clicked(page),
  });
}
async function clicked(page) {  // the attention page alone: what a click on a head and a token does
  const buttons = [...page.querySelectorAll("#selective button")];
  if (!buttons.length) return null;
  const shares = () => [...page.querySelectorAll(".map .token")].map(t => +t.dataset.relative);
  const before = shares();
  buttons[1].click();
  page.querySelector(".sample .token").dispatchEvent(new MouseEvent("click"));
  return {before, after: shares(), buttons: buttons.map(button => button.textContent),
          described: page.querySelector("#described").textContent,
          stays: getComputedStyle(page.querySelector(".sample")).position};
}
(async () => {
  for (const page of pages) await look(page);
  const said = document.createElement("pre");
  said.id = "said";
  said.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(results))));
  document.body.replaceChildren(said);
})();
</script></body>"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny run on pictures, sounds, texts and numbers, whose classes and files are hostile."""
    folder = tmp_path_factory.mktemp("pages")
    write_data(folder)
    (folder / "recipe.yaml").write_text(RECIPE.replace("ROOT", str(folder)))
    words = ["--config", str(folder / "recipe.yaml"), "--out", str(folder / "run")]
    assert main(["fit", *words]) == 0
    return folder / "run"


def write_data(folder):
    import soundfile
    from PIL import Image

    random, rows = np.random.default_rng(0), ["image,sound,text,size,kind"]
    quoted = ['"' + name.replace('"', '""') + '"' for name in CLASSES]
    for number in range(60):
        kind = number % 2
        pixels = random.integers(0, 100, (8, 8, 3), dtype=np.uint8) + np.uint8(120 * kind)
        image = f"{number}.png"
        Image.fromarray(pixels).save(folder / image)
        soundfile.write(folder / f"{number}.wav", random.normal(size=400) / 9, 800)
        text = f"</div><script>alert({number})</script>" if number % 3 else ""
        sound = f"{number}.wav" if number % 2 else ""
        rows.append(f'"{image}",{sound},{text},{number / 7:.2f},{quoted[kind]}')
    (folder / "<i>'things.csv").write_text("\n".join(rows))


@pytest.fixture(scope="module")
def seen(run, tmp_path_factory):
    """What a browser shows of all pages, at both widths, and what it wrote to its console."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium, expected it on the path")
    folder = tmp_path_factory.mktemp("browser")
    other = folder / "other"
    shutil.copytree(run, other)
    settings = (other / "config.yaml").read_text().replace("dim: 16", "dim: <b>16</b>")
    (other / "config.yaml").write_text(settings)
    pages = {name: folder / f"{name}.html" for name in ("report", "compare")}
    assert main(["report", str(run), "--samples", "40", "--out", str(pages["report"])]) == 0
    assert main(["compare", str(run), str(other), "--out", str(pages["compare"])]) == 0
    pages["attention"] = write_page(folder / "attention.html", selective_head(), "a <b>title</b>")
    return browsed(folder, [(page, width) for page in pages.values() for width in WIDTHS])


def selective_head():
    """Attention of a word and a picture: head 1 looks at the word alone, all others evenly."""
    rows = torch.full((2, 2, 5, 5), 0.2)
    rows[1, 1] = torch.tensor([1.0, 0, 0, 0, 0])
    boxes = np.array([[x, y, x + 4, y + 4] for y in (0, 4) for x in (0, 4)], np.float32)
    canvas = Canvas(np.full((8, 8, 3), 90, np.uint8), boxes)
    side = [
        TokenGroup("text", [0], ["<b>bold</b>"]),
        TokenGroup("image", [1, 2, 3, 4], ["0,0", "0,1", "1,0", "1,1"], canvas),
    ]
    looks = AttentionMap("self-attention", side, side, [0, 1], [0, 1], rows, rows[0, 0])
    return SampleAttention("kind", [looks], None)


def browsed(folder, pages):
    frames = json.dumps([[page.as_uri(), width] for page, width in pages])
    (folder / "watcher.html").write_text(WATCHER.replace("PAGES", frames))
    options = "--headless --no-sandbox --disable-gpu --allow-file-access-from-files --dump-dom"
    options += " --enable-logging=stderr --virtual-time-budget=60000 --window-size=1700,1000"
    command = [CHROMIUM, *options.split(), f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, (folder / "watcher.html").as_uri()], capture_output=True, text=True, timeout=120
    )
    found = re.search(r'<pre id="said">([^<]+)</pre>', done.stdout)
    assert found is not None, done.stdout[-2000:] + done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(base64.b64decode(found[1])), console


def test_a_browser_has_nothing_to_complain_about(seen):
    results, console = seen
    assert console == []
    assert len(results) == 6
    for page in results:
        assert page["overflow"] <= 0, page
        assert page["broken"] == page["silent"] == 0, page
        assert page["scripts"] == (2 if page["file"] == "attention.html" else 0)


def test_a_report_shows_what_was_learned_from_and_how_well(seen):
    report = next(page for page in seen[0] if page["file"] == "report.html")
    assert report["images"] >= 4 and report["players"] >= 2
    assert report["headings"] == [
        "What it learned from", "How it learned", "How good it is", "What it confuses",
        "How sure it is", "Predicted and true", "Its worst mistakes", "Time and memory",
        "The recipe", "Versions", "How to go on",
    ]  # fmt: skip
    for text in (
        *CLASSES,
        "</div><script>alert(",
        "<i>'things.csv, row",
        "unitf predict --checkpoint",
    ):
        assert text in report["text"], text
    assert "bootstrap over 24 of 24 test samples" in report["text"]


def test_a_comparison_shows_what_differs_and_nothing_else(seen):
    page = next(page for page in seen[0] if page["file"] == "compare.html")
    differing = page["text"].partition("How they learned")[0]
    assert "model.core.dim" in differing and "<b>16</b>" in differing
    assert "depth" not in differing and "trainer" not in differing


def test_attention_is_relative_and_its_heads_are_one_click_away(seen):
    page = next(page for page in seen[0] if page["file"] == "attention.html")
    looks = page["looks"]
    assert looks["stays"] == "sticky"
    assert looks["buttons"] == ["layer 1: 60 %", "layer 1, head 1: 20 %", "all heads"]
    np.testing.assert_allclose(looks["before"], [2, 0.75, 0.75, 0.75, 0.75], atol=0.01)
    np.testing.assert_allclose(looks["after"], [5, 0, 0, 0, 0], atol=0.01)  # five times even
    assert looks["described"].startswith("<b>bold</b> → <b>bold</b> 100.0 % (5.0×)")


def test_a_run_without_a_page_is_as_good_as_one_with(run, tmp_path, capsys, monkeypatch):
    import unitf.analysis.report as pages
    from unitf.cli.page_after_run import write_page as write_after

    def broken(*arguments, **options):
        raise RuntimeError("no\npage")

    monkeypatch.setattr(pages, "write_report", broken)
    trainer = make_trainer(run)
    write_after(trainer, make_data())
    assert capsys.readouterr().err == (
        f"unitf: warning: {run}/report.html: RuntimeError: no page\n"
    )
    monkeypatch.setattr(type(trainer), "is_global_zero", False)
    write_after(trainer, make_data())
    assert capsys.readouterr().err == ""  # other processes write nothing


def test_an_interrupted_run_has_a_page_of_its_figures(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    page = write_report(copy, notices=["The run was interrupted."]).read_text()
    assert "interrupted" in page and "How it learned" in page and "fit --resume" in page
    assert "data:image" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "nowhere"], "report nowhere: found no"),
        (["report", "RUN", "--samples", "-1"], "--samples -1: expected 0 or more"),
        (["compare", "RUN", "RUN"], "found 1 run, expected two or more different ones"),
    ],
)
def test_a_mistake_is_one_line(run, capsys, words, message):
    assert main([str(run) if word == "RUN" else word for word in words]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_strangers_value_is_a_text():
    assert described(np.zeros((2, 3))) == "2×3 numbers from 0 to 0"
    assert described(b"ab") == "2 bytes"
    assert described({"a": 1.23456789, "b": ["x", None]}) == {"a": "1.23457", "b": "x, None"}
    assert len(described("x" * 9999)) < 2100
