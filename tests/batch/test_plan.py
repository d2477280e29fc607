import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from quick_batch import Painter

from gscodec.batch.budget import LEAST_BYTES, Slope, probe, spread
from gscodec.batch.emit import openjd_template, slurm_script
from gscodec.batch.keys import changed, key_of
from gscodec.batch.plan import Item, Manifest, make_items, make_plan, read_manifest, shard
from gscodec.batch.work import Options
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import FileAccessError, InvalidArgument, LimitExceeded
from gscodec.image.load import load_image
from gscodec.image.stack import ImageStack


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


def test_a_folder_is_mirrored(tree: Path, tmp_path: Path) -> None:
    items = make_items(Manifest(tmp_path / "dst", tree), EncodeSettings(bpp=0.5))
    assert names(items) == ["a/y", "a/z", "rock", "x"]
    assert items[0].output == tmp_path / "dst" / "a" / "y.igs"
    assert [path.name for path in items[2].sources] == ["albedo.png", "ao.png"]
    assert make_items(Manifest(tree, tree), EncodeSettings())[0].output == tree / "a" / "y.igs"


def test_what_is_wanted(tree: Path, tmp_path: Path) -> None:
    assert names(make_items(Manifest(tmp_path, tree, include=("a/*",)), EncodeSettings())) == ["a/y", "a/z"]
    assert names(make_items(Manifest(tmp_path, tree, exclude=("a/*", "rock/*")), EncodeSettings())) == ["x"]
    with pytest.raises(FileAccessError, match="contains no pictures that the patterns select"):
        make_items(Manifest(tmp_path, tree, include=("*.tif",)), EncodeSettings())
    with pytest.raises(FileAccessError, match="is not a folder"):
        make_items(Manifest(tmp_path, tmp_path / "none"), EncodeSettings())


def test_names_that_differ_in_the_suffix_alone(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "x.png")
    paint(tmp_path / "s" / "x.bmp")
    assert names(make_items(Manifest(tmp_path / "d", tmp_path / "s"), EncodeSettings())) == ["x.bmp", "x.png"]


def test_manifest_rules_and_items(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        'source = "src"\noutput = "out"\nexclude = ["x.*"]\npreset = "fast"\nbpp = 0.5\ntotal_size = "40kB"\n'
        '[[rule]]\nmatch = "a/*"\nsize = "2kB"\n[[rule]]\nmatch = "a/z"\npreset = "best"\n'
        '[[rule]]\nmatch = "rock"\nskip = true\n'
        '[[item]]\nname = "extra/one"\nfiles = ["src/x.png"]\nseed = 7\n',
        encoding="utf-8",
    )
    manifest = read_manifest(path)
    items = {item.name: item for item in make_items(manifest, EncodeSettings(bppc=0.1))}
    assert list(items) == ["a/y", "a/z", "extra/one"]
    assert (items["a/y"].settings.size, items["a/y"].settings.bpp) == (2000, None)
    assert (items["a/y"].settings.preset, items["a/z"].settings.preset) == ("fast", "best")
    assert (items["extra/one"].settings.bpp, items["extra/one"].settings.seed) == (0.5, 7)
    assert items["extra/one"].output == tmp_path / "out" / "extra" / "one.igs"
    assert manifest.total_size == "40kB"
    assert tree.exists()


def test_whose_settings_win(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        'source = "src"\noutput = "out"\npreset = "fast"\nbpp = 0.5\nseed = 1\n'
        '[[rule]]\nmatch = "a/y"\nseed = 3\n[[rule]]\nmatch = "extra/*"\nseed = 4\nsize = 3000\n'
        '[[item]]\nname = "extra/one"\nfiles = ["src/x.png"]\npsnr = 38\n',
        encoding="utf-8",
    )
    assert tree.exists()
    plan = make_plan(read_manifest(path), EncodeSettings(bppc=0.1), {"gaussians": 20, "seed": 2})
    items = {item.name: item.settings for item in plan.items}
    assert (items["a/z"].target, items["a/z"].seed, items["a/z"].preset) == ("gaussians", 2, "fast")
    assert (items["a/y"].target, items["a/y"].seed) == ("gaussians", 3)
    assert (items["extra/one"].target, items["extra/one"].psnr, items["extra/one"].seed) == ("psnr", 38, 4)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("output = 'o'\n[", "not a TOML file"),
        ("source = 's'", "names no output"),
        ("output = 'o'", "neither a source folder nor items"),
        ("output = 'o'\nsource = 's'\nspeed = 3", "'speed' is not a setting"),
        ("output = 'o'\nsource = 's'\nbpp = 'x'", "is not a number"),
        ("output = 'o'\nsource = 's'\nbpp = 1.0\nsize = 3", "not bpp and size"),
        ("output = 'o'\nsource = 's'\n[[rule]]\nbpp = 1", "needs match"),
        ("output = 'o'\n[[item]]\nname = '../x'\nfiles = ['a']", "leaves the output folder"),
        ("output = 'o'\n[[item]]\nname = 'x'", "needs name and files"),
        ("output = 'o'\nsource = 's'\ninclude = 'x'", "not a list of strings"),
        ("output = 'o'\nsource = 's'\nsize = '3 parsec'", "is not a size"),
        ("output = 'o'\n[[item]]\nname = '/x'\nfiles = ['a']", "leaves the output folder"),
        ("output = 'o'\n[[item]]\nname = 'a/NUL'\nfiles = ['a']", "not valid on every file system"),
        ("output = 'o'\n[[item]]\nname = 'a//b'\nfiles = ['a']", "not valid on every file system"),
        ('output = "o"\n[[item]]\nname = "a\\u001b[31m"\nfiles = ["a"]', "not valid on every file system"),
        ('output = "o"\n[[item]]\nname = "a"\nfiles = ["a\\u0000"]', "NUL"),
        ('output = "o\\u0000"\nsource = "s"', "NUL"),
        ("output = ['o']\nsource = 's'", "output .* is not a string"),
        ("output = 'o'\nsource = 's'\nrule = 3", "is not a list of tables"),
        ("output = 'o'\nsource = 's'\npreset = 'fats'", "preset 'fats' is not known: use paper, draft, fast"),
        (
            "output = 'o'\nsource = 's'\n[[rule]]\nmatch = '*'\npreset = 'fats'",
            "rule 1: preset 'fats' is not known: use",
        ),
        ("output = 'o'\nsource = 's'\ntune = 'sssim'", "tune 'sssim' is not known: use"),
        ("output = 'o'\nsource = 's'\nprofile = 'f61'", "profile 'f61' is not known: use"),
        ("output = 'o'\nsource = 's'\nnan = 'holes'", "nan 'holes' is not known: use"),
        ("output = 'o'\nsource = 's'\nmetadata = 'some'", "metadata 'some' is not known: use all, none"),
        ("output = 'o'\nsource = 's'\nbpp = nan", "bpp nan is not"),
        ("output = 'o'\nsource = 's'\nbpp = inf", "bpp inf is not"),
        ("output = 'o'\nsource = 's'\nbpp = 0", "bpp 0 is not"),
        ("output = 'o'\nsource = 's'\nsteps = -1", "steps -1 is not"),
        ("output = 'o'\nsource = 's'\nlods = 17", "lods 17 is not"),
        ("output = 'o'\nsource = 's'\nbpp = 1" + "0" * 5000, "is not a TOML file"),
        ("output = " + "[" * 50_000, "TOML|nested too deep"),
        ("output = 'o'\n\x00", "not a TOML file"),
        (".".join("a" * 30_000) + " = 1", "nested too deep"),
        ("x = {b = 1, " + " . ".join(["'a'"] * 30_000) + " = 1}", "nested too deep"),
    ],
)
def test_manifests_that_are_wrong(text: str, fact: str, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidArgument, match=fact):
        make_items(read_manifest(path), EncodeSettings())


def test_a_manifest_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(LimitExceeded, match="above the limit"):
        read_manifest(path)


@pytest.mark.parametrize("output", ["file", "file/below", "n" * 300])
def test_an_output_folder_that_cannot_be_one(output: str, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileAccessError, match=r"is not a folder|cannot be written to"):
        make_items(Manifest(tmp_path / output, tree), EncodeSettings())


def test_what_matches_nothing_is_named(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        'source = "src"\noutput = "o"\ninclude = ["*", "*.tff"]\nexclude = ["b/*"]\n'
        '[[rule]]\nmatch = "a/*"\nbpp = 1\n[[rule]]\nmatch = "hreo/*"\nbpp = 1\n',
        encoding="utf-8",
    )
    plan = make_plan(read_manifest(path), EncodeSettings())
    assert len(plan.items) == 4
    assert plan.unused == (
        "include '*.tff' matches no file",
        "exclude 'b/*' matches no file",
        "rule 'hreo/*' matches no item",
    )
    assert tree.exists()


def test_a_probe_runs_on_the_device_and_the_threads_given(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gscodec.encoding.api

    seen = []
    whole = gscodec.encoding.api.encode

    def look(*arguments: Any, **options: Any) -> Any:
        seen.append((options["device"], options["threads"]))
        return whole(*arguments, **options | {"steps": 2})

    monkeypatch.setattr(gscodec.encoding.api, "encode", look)
    item = make_items(Manifest(tmp_path / "d", tree), EncodeSettings())[0]
    assert probe(item, Options(threads=1, device="cpu")).name == "a/y"
    assert set(seen) == {("cpu", 1)}


def test_weights_of_no_map_are_named(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        'source = "src"\noutput = "o"\n[[rule]]\nmatch = "rock"\nweights = { noraml = 2, ao = 2, albedo = 3 }\n',
        encoding="utf-8",
    )
    plan = make_plan(read_manifest(path), EncodeSettings())
    assert plan.unused == ("rock: weights names 'noraml', which is not one of its maps",)
    assert tree.exists()


def test_a_key_takes_all_of_a_stack() -> None:
    """A new member of ImageStack must get into `key_of`, or be known not to change a file."""
    assert {member.name for member in fields(ImageStack)} == {
        "samples",
        "groups",
        "icc",
        "source_name",
        "files",
        "visible",
        "metadata",
        "weights",
    }


def test_files_that_are_not_there_cost_their_item_alone(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('source = "src"\noutput = "o"\n[[item]]\nname = "n"\nfiles = ["src/none.png"]\n', encoding="utf-8")
    faults = {item.name: item.fault for item in make_plan(read_manifest(path), EncodeSettings()).items}
    assert "none.png: source of item n does not exist" in faults.pop("n")
    assert set(faults.values()) == {""}
    assert tree.exists()


def test_two_items_of_one_name(tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('source = "src"\noutput = "o"\n[[item]]\nname = "X"\nfiles = ["src/x.png"]\n', encoding="utf-8")
    with pytest.raises(InvalidArgument, match="two items have this name"):
        make_items(read_manifest(path), EncodeSettings())
    assert tree.exists()


def test_shards_share_all_items_out(tree: Path, tmp_path: Path) -> None:
    items = make_items(Manifest(tmp_path, tree), EncodeSettings())
    parts = [shard(items, number, 3) for number in (1, 2, 3)]
    assert sorted(names([item for part in parts for item in part])) == names(items)
    assert parts == [shard(items[::-1], number, 3)[::-1] for number in (1, 2, 3)]


def test_a_key_knows_pixels_and_settings_but_no_path(tmp_path: Path, paint: Painter) -> None:
    names = (("a.png", 1), ("elsewhere/a.png", 1), ("other/a.png", 2), ("b.png", 1))
    one, same, other, renamed = (paint(tmp_path / name, seed) for name, seed in names)
    base = EncodeSettings(bpp=0.5)
    keys = {
        "one": key_of(load_image(one), base),
        "same": key_of(load_image(same), base),
        "other": key_of(load_image(other), base),
        "renamed": key_of(load_image(renamed), base),  # the file records the name of its source
        "settings": key_of(load_image(one), EncodeSettings(bpp=0.6)),
        "tune": key_of(load_image(one), EncodeSettings(bpp=0.5, tune="visual")),
        "importance": key_of(load_image(one), EncodeSettings(bpp=0.5, importance="auto")),
        "strength": key_of(load_image(one), EncodeSettings(bpp=0.5, importance="auto", importance_strength=2.0)),
    }
    assert keys["one"] == keys["same"]
    assert len(set(keys.values())) == 7


def test_a_batch_finds_out_itself_what_is_important() -> None:
    assert changed(EncodeSettings(), {"importance": "auto", "tune": "visual"}, "here").importance == "auto"
    with pytest.raises(InvalidArgument, match=r"here: importance 'map\.png'"):
        changed(EncodeSettings(), {"importance": "map.png"}, "here")


def test_a_budget_goes_where_it_gains() -> None:
    slopes = [Slope("plain", 1e3, 1.0, 10**9), Slope("busy", 1e7, 1.0, 10**9), Slope("tiny", 1e9, 1.0, 3000)]
    sizes = spread(slopes, 100_000)
    assert sizes["tiny"] == 3000
    assert sizes["busy"] > 5 * sizes["plain"] >= 5 * LEAST_BYTES
    assert 99_000 <= sum(sizes.values()) <= 100_000
    gains = [s.a * s.b * sizes[s.name] ** (-s.b - 1) for s in slopes if LEAST_BYTES < sizes[s.name] < s.most]
    assert max(gains) / min(gains) < 1.01
    with pytest.raises(InvalidArgument, match="too small for 3 items"):
        spread(slopes, 3 * LEAST_BYTES - 1)

    flat = Slope("flat", 1e-3, 1.0, 180)  # no more than it can use, and the rest for others
    sizes = spread([flat, slopes[1]], 2000)
    assert sizes["flat"] == 180
    assert 1800 <= sizes["busy"] <= 1820


def test_job_files() -> None:
    arguments = ["batch", "my textures", "out", "--bpp", "0.5"]
    script = slurm_script(arguments, 12, 4)
    assert "#SBATCH --array=1-12\n" in script
    command = shlex.split(script.splitlines()[-1])
    assert command == ["exec", "gscodec", *arguments, "--shard", "${SLURM_ARRAY_TASK_ID}/12"]
    template = json.loads(openjd_template(arguments, 12, 4))
    assert template["specificationVersion"] == "jobtemplate-2023-09"
    (step,) = template["steps"]
    assert step["parameterSpace"]["taskParameterDefinitions"] == [{"name": "Shard", "type": "INT", "range": "1-12"}]
    action = step["script"]["actions"]["onRun"]
    assert (action["command"], action["args"]) == ("gscodec", [*arguments, "--shard", "{{Task.Param.Shard}}/12"])
    with pytest.raises(InvalidArgument, match="a job template reads"):
        openjd_template(["batch", "{{x}}", "out"], 12, None)
    assert step["hostRequirements"] == {"amounts": [{"name": "amount.worker.vcpu", "min": 4}]}


def test_records_and_weights_of_maps_are_settings() -> None:
    settings = changed(EncodeSettings(), {"record_bytes": 7, "weights": {"normal": 2, "ao": 0.5}}, "here")
    assert settings.record_bytes == 7
    assert settings.map_weights == {"normal": 2.0, "ao": 0.5}
    assert hash(settings) != hash(EncodeSettings())
    for wrong, fact in (({"weights": {"ao": "much"}}, "ao: weight 'much'"), ({"weights": 3}, "table of numbers")):
        with pytest.raises(InvalidArgument, match=fact):
            changed(EncodeSettings(), wrong, "here")
