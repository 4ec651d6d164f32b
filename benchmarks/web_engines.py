"""Engines for the web page of facesmith export --html: python benchmarks/web_engines.py [--model MODEL ...] [--core 0]

Draws faces of a model of the recipe quick in headless Chromium with onnxruntime-web, with TensorFlow.js (its
WebAssembly backend), with our WebAssembly kernel and with our plain JavaScript. Prints a Markdown table: the bytes that
each adds to a page, the time from the start of the engine to its first face, and the time of a further face.

Then opens the exported page and prints, with the watermark: the time to the first face, faces per second on the wall,
frames per second of the walk, and the time from a slider to its face.

Needs Playwright and Debian's chromium. The rows of the other engines need the extra "onnx", and npm, which downloads
them to a temporary folder; without them, a line says what is missing. Takes two minutes per model. All processes run on
one core.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import statistics
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from facesmith.export.webpage.page_data import page_data
from facesmith.export.webpage.scripts import joined
from facesmith.export.webpage.to_html import KERNEL, export_html
from facesmith.model import load

PACKAGES = ("onnxruntime-web@1.30.0", "@tensorflow/tfjs-core@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0")
ORT, TF = "node_modules/onnxruntime-web/dist", "node_modules/@tensorflow"
FILES = {
    "onnxruntime-web": [
        f"{ORT}/ort.wasm.min.js",
        f"{ORT}/ort-wasm-simd-threaded.mjs",
        f"{ORT}/ort-wasm-simd-threaded.wasm",
    ],
    "TensorFlow.js": [
        f"{TF}/tfjs-core/dist/tf-core.min.js",
        f"{TF}/tfjs-backend-wasm/dist/tf-backend-wasm.min.js",
        f"{TF}/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm",
    ],
    "our WebAssembly": ["worker.js", "kernel.wasm"],
    "our JavaScript": ["worker.js"],
}  # fmt: skip
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
FACES, SLOW_FACES, SLIDER_STEPS, LOADS, WALK_SECONDS = 100, 10, 40, 5, 5
# Each returns milliseconds: to the first face, then those of further faces.
SCRIPTS = {
    "onnxruntime-web": """async ({faces}) => {
        await script('node_modules/onnxruntime-web/dist/ort.wasm.min.js');
        const bytes = new Uint8Array(await (await fetch('model.onnx')).arrayBuffer());
        const start = performance.now();
        ort.env.wasm.numThreads = 1;
        ort.env.wasm.wasmPaths = new URL('node_modules/onnxruntime-web/dist/', location.href).href;
        const session = await ort.InferenceSession.create(bytes);
        const { z_dim: size } = await (await fetch('model.json')).json();
        const empty = new ort.Tensor('float32', new Float32Array(0), [0, size]);
        const psi = new ort.Tensor('float32', [1], []);
        return times(faces, start, async (seed) => {
            const z = new ort.Tensor('float32', noise(seed, size), [1, size]);
            await session.run({ z, w: empty, psi });
        });
    }""",
    "TensorFlow.js": """async ({faces}) => {
        await script('node_modules/@tensorflow/tfjs-core/dist/tf-core.min.js');
        await script('node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js');
        const { tensors, steps, z_dim: size } = await (await fetch('model.json')).json();
        const start = performance.now();
        tf.wasm.setWasmPaths('node_modules/@tensorflow/tfjs-backend-wasm/wasm-out/');
        tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
        await tf.setBackend('wasm');
        await tf.ready();
        const constants = tensors.map(({ shape, values }) => tf.tensor(values, shape));
        const perChannel = (x) => tf.reshape(x, [1, 1, 1, -1]);
        // Maps are [1, height, width, channels].
        const ops = {
            linear: ([x], [weight, bias]) => tf.add(tf.matMul(x, weight, false, true), bias),
            maps: ([x], _, { channels: c, height, width }) =>
                tf.transpose(tf.reshape(x, [1, c, height, width]), [0, 2, 3, 1]),
            conv: ([x], [weight, bias], { padding }) => {
                const y = tf.conv2d(x, weight, 1, padding);
                return bias ? tf.add(y, perChannel(bias)) : y;
            },
            up_conv: ([x], [weight, bias]) =>
                tf.depthToSpace(tf.add(tf.conv2d(x, weight, 1, 1), perChannel(bias)), 2, 'NHWC'),
            modulate: ([x, by]) => {
                const [a, b] = tf.split(by, 2, 1);
                return tf.add(tf.mul(x, perChannel(a)), perChannel(b));
            },
            add: ([x, y]) => tf.add(x, y), relu: ([x]) => tf.relu(x), tanh: ([x]) => tf.tanh(x),
        };
        return times(faces, start, async (seed) => {
            const images = tf.tidy(() => {
                const values = [tf.tensor(noise(seed, size), [1, size])];
                for (const { op, from, constants: used, options } of steps) {
                    const tensors = used.map((i) => (i === null ? null : constants[i]));
                    values.push(ops[op](from.map((i) => values[i]), tensors, options));
                }
                return values.at(-1);
            });
            await images.data();
            images.dispose();
        });
    }""",
    "ours": """async ({faces, javascript}) => {
        const texts = Object.fromEntries(await Promise.all(['worker.js', 'page.json', 'constants.txt', 'kernel.txt']
            .map(async (name) => [name, await (await fetch(name)).text()])));
        const model = { ...JSON.parse(texts['page.json']), mark: null };
        const start = performance.now();
        const worker = new Worker(URL.createObjectURL(new Blob([texts['worker.js']])));
        const ask = (message) => new Promise((resolve, reject) => {
            worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
            worker.postMessage(message);
        });
        await ask({ model, constants: texts['constants.txt'], code: javascript ? null : texts['kernel.txt'] });
        const face = { kind: 'face', edits: {}, psi: 1, condition: [] };
        return times(faces, start, (seed) => ask({ id: 0, picture: { ...face, seed } }));
    }""",
}
PAGE = """<!doctype html><meta charset="utf-8"><script>
const script = (src) => new Promise((resolve, reject) => {
    document.head.append(Object.assign(document.createElement('script'), { src, onload: resolve, onerror: reject }));
});
const noise = (seed, size) => Float32Array.from({ length: size },
    (_, i) => Math.sqrt(2) * Math.sin((seed + 1) * (i + 1)));
async function times(faces, start, draw) {
    await draw(0);
    const all = [performance.now() - start];
    for (let seed = 1; seed <= faces; seed++) {
        const before = performance.now();
        await draw(seed);
        all.push(performance.now() - before);
    }
    return all;
}
</script>"""
# Records when the page draws a face.
RECORD = """window.drawnAt = []; const put = CanvasRenderingContext2D.prototype.putImageData;
CanvasRenderingContext2D.prototype.putImageData = function (...all) {
    put.apply(this, all);
    window.drawnAt.push(performance.now());
};"""
DRAG = """async (steps) => {
    const slider = document.querySelector('.sliders input[type=range], .edit .field input[type=range]');
    const [low, high] = [Number(slider.min), Number(slider.max)];
    const times = [];
    for (let i = 1; i <= steps; i++) {
        const [start, count] = [performance.now(), drawnAt.length];
        slider.value = String(low + (high - low) * (i % 19) / 19);
        slider.dispatchEvent(new Event('input'));
        while (drawnAt.length === count) await new Promise((next) => setTimeout(next, 0));
        times.push(drawnAt.at(-1) - start);
        await new Promise((next) => setTimeout(next, 50));
    }
    return times;
}"""

WALK = """async (seconds) => {
    const count = drawnAt.length;
    await new Promise((next) => setTimeout(next, 1000 * seconds));
    return (drawnAt.length - count) / seconds;
}"""


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, nargs="*", default=[], help="models of recipe quick, besides the bundled one"
    )
    parser.add_argument("--core", type=int, default=0, help="the core that everything runs on")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        others = install_other_engines(Path(name))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for model in (None, *arguments.model):
            print(f"\n## {model or 'the bundled generator'}\n")
            measure(
                browser, Path(name), model, [engine for engine in FILES if engine.startswith("our") or engine in others]
            )
        browser.close()


def measure(browser: Browser, folder: Path, model: Path | None, engines: list[str]) -> None:
    write_files(folder, model, engines)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    compare_engines(browser, f"http://127.0.0.1:{server.server_port}/engines.html", folder, engines)
    measure_page(browser, folder / "faces.html")
    server.shutdown()


def install_other_engines(folder: Path) -> list[str]:
    """The names of the other engines that can be measured. Prints what is missing for those that can't."""
    (folder / "package.json").write_text("{}")
    try:
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES], cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Without onnxruntime-web and TensorFlow.js: npm can't install {', '.join(PACKAGES)} ({error}).")
        return []
    if find_spec("onnx") is None:
        print("Without onnxruntime-web: pip install 'facesmith[onnx]' is missing.")
        return ["TensorFlow.js"]
    return ["onnxruntime-web", "TensorFlow.js"]


def write_files(folder: Path, path: Path | None, engines: list[str]) -> None:
    model = load(path)
    data = page_data(model, model.directions)
    (folder / "engines.html").write_text(PAGE)
    (folder / "worker.js").write_text(joined("worker.js"))
    shutil.copy(KERNEL, folder)
    (folder / "kernel.txt").write_text(base64.b64encode(KERNEL.read_bytes()).decode())
    (folder / "constants.txt").write_text(base64.b64encode(data.constants).decode())
    (folder / "page.json").write_text(json.dumps(data.model))
    (folder / "model.json").write_text(json.dumps(channels_last(model)))
    if "onnxruntime-web" in engines:
        from facesmith.export.to_onnx import metadata_of, onnx_bytes

        (folder / "model.onnx").write_bytes(onnx_bytes(model, metadata_of(model, "unknown")))
    list(export_html(path, folder / "faces.html", force=True, console=Console(quiet=True)))


def channels_last(model) -> dict:
    """The program of a generator for TensorFlow.js: convolution kernels are `[height, width, in, out]`."""
    from facesmith.export.webpage.trace import trace_synthesis
    from facesmith.nets.layers import _sum_taps

    tensors, steps = [], []
    for step in trace_synthesis(model.G).steps:
        used = []
        for i, tensor in enumerate(step.tensors):
            used.append(None if tensor is None else len(tensors))
            if tensor is None:
                continue
            if step.op == "up_conv" and i == 0:
                kernels = _sum_taps(_sum_taps(tensor, 2), 4).permute(2, 4, 0, 1, 3, 5)
                tensor = kernels.reshape(-1, tensor.shape[1], 3, 3)
            elif step.op == "up_conv":
                tensor = tensor.repeat(4)
            tensor = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor
            tensors.append({"shape": list(tensor.shape), "values": tensor.flatten().tolist()})
        steps.append({"op": step.op, "from": list(step.inputs), "constants": used, "options": dict(step.options)})
    return {"tensors": tensors, "steps": steps, "z_dim": model.G.z_dim}


def compare_engines(browser: Browser, url: str, folder: Path, engines: list[str]) -> None:
    print("| engine | JavaScript and WebAssembly | in a page, as base64 | first face | further faces |")
    print("|---|---|---|---|---|")
    for engine in engines:
        page = browser.new_page()
        page.goto(url)
        javascript = engine == "our JavaScript"
        script = SCRIPTS.get(engine, SCRIPTS["ours"])
        faces = SLOW_FACES if javascript else FACES
        first, *further = page.evaluate(script, {"faces": faces, "javascript": javascript})
        page.close()
        sizes = [(folder / file).stat().st_size for file in FILES[engine]]
        in_page = sum(
            size * 4 // 3 if file.endswith(".wasm") else size for file, size in zip(FILES[engine], sizes, strict=True)
        )
        megabytes = f"{sum(sizes) / 1e6:.2f} MB | {in_page / 1e6:.2f} MB"
        print(f"| {engine} | {megabytes} | {first:.0f} ms | {statistics.median(further):.1f} ms |")


def measure_page(browser: Browser, file: Path) -> None:
    first, rates = [], []
    for _ in range(LOADS):
        page = browser.new_page(viewport={"width": 1600, "height": 3000})
        page.add_init_script(RECORD)
        page.goto(file.as_uri())
        while page.evaluate("drawnAt.length") < FACES:
            page.wait_for_timeout(100)
        drawn = page.evaluate("drawnAt")
        first.append(drawn[0])
        rates.append(1000 * (FACES - 1) / (drawn[FACES - 1] - drawn[0]))
        page.close()
    page = browser.new_page()
    page.add_init_script(RECORD)
    page.goto(f"{file.as_uri()}#walk")
    page.locator(".walker canvas.drawn").wait_for()
    page.wait_for_timeout(1000)
    walk = page.evaluate(WALK, WALK_SECONDS)
    page.close()
    page = browser.new_page()
    page.add_init_script(RECORD)
    page.goto(f"{file.as_uri()}#edit?face=7")
    page.locator(".before canvas.drawn").wait_for()
    slider = page.evaluate(DRAG, SLIDER_STEPS)
    page.close()
    print(f"\nsize of the page: {file.stat().st_size / 1e6:.2f} MB")
    print(f"first face after opening: {statistics.median(first):.0f} ms (median of {LOADS}, longest {max(first):.0f})")
    print(f"faces per second on the wall: {statistics.median(rates):.0f}")
    print(f"frames per second of the walk: {walk:.0f}")
    print(f"slider to face: {statistics.median(slider):.0f} ms (longest {max(slider):.0f})")


if __name__ == "__main__":
    main()
