// node run.mjs WASM_FOLDER HEAP_BYTES TEST_FOLDER TEST_MODULE...
//
// Runs firmware test modules in MicroPython for WebAssembly. It sees no disk: firmware/tunion, the test
// folder and tools/micropython are copied into its memory first. Exit code as run_tests.py: 1 if a test failed or none ran.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..");

const [wasm, heapBytes, tests, ...modules] = process.argv.slice(2);
const entry = join(resolve(wasm), "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs");
const { loadMicroPython } = await import(pathToFileURL(entry));

function copy(from, to, fs) {
    fs.mkdirTree(to);
    for (const name of readdirSync(from)) {
        const source = join(from, name);
        if (statSync(source).isDirectory()) {
            copy(source, `${to}/${name}`, fs);
        } else if (name.endsWith(".py") || name.endsWith(".json")) {
            fs.writeFile(`${to}/${name}`, readFileSync(source));
        }
    }
}

const mp = await loadMicroPython({ heapsize: Number(heapBytes), stdout: line => console.log(line), linebuffer: true });
copy(join(ROOT, "firmware/tunion"), "/firmware/tunion", mp.FS);
copy(join(ROOT, "tools/micropython"), "/tools", mp.FS);
copy(tests, "/tests", mp.FS);
mp.runPython('import sys; sys.path[:] = ["/firmware", "/tests", "/tools"]');
mp.globals.set("modules", modules.join(" "));
mp.runPython("import run_tests; passed = run_tests.run(modules.split())");
process.exitCode = mp.globals.get("passed") ? 0 : 1;
