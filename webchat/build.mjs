// One step: src/ -> dist/ (or `--outdir DIR`). The output is committed, so that running Confide needs no node; a test
// builds again and compares byte for byte, so nothing here may depend on time, place or machine.
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({ options: { outdir: { type: "string", default: join(here, "dist") } } });
const outdir = resolve(values.outdir);
const pages = ["index.html", "outbox.html", "icon.svg"];

// Two places in the libraries that a check of the bundle would stumble over, and no browser we support needs: code made
// from a string (our CSP forbids it) and a third party's address in an error message.
const REPLACED = [
  [/engine\.io-client\/build\/esm\/globals\.js$/, 'Function("return this")()', "globalThis"],
  [/socket\.io-client\/build\/esm\/socket\.js$/, / \(more information here: https:[^)]*\)/, ""],
];
const clean = {
  name: "clean",
  setup({ onLoad }) {
    for (const [filter, from, to] of REPLACED) {
      onLoad({ filter }, async ({ path }) => {
        const source = await readFile(path, "utf8");
        const contents = source.replace(from, to);
        if (contents === source) throw new Error(`${filter} changed: look at it again`);
        return { contents, loader: "js" };
      });
    }
  },
};

/** The licence texts of every package whose code is in the bundle, as each licence asks for. */
async function licences(metafile) {
  const found = Object.keys(metafile.inputs).map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  const names = [...new Set(found.filter(Boolean))].sort();
  const parts = await Promise.all(
    names.map(async (name) => {
      const folder = join(here, "node_modules", name);
      const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
      const text = await readFile(join(folder, "LICENSE"), "utf8");
      return `${name} ${version} (${license})\n\n${text.trim().replaceAll("\r\n", "\n")}\n`;
    }),
  );
  const head = "confide-chat.js contains these packages.\n";
  return [head, ...parts].join(`\n${"-".repeat(80)}\n\n`);
}

await rm(outdir, { recursive: true, force: true });
await mkdir(outdir, { recursive: true });
const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/confide-chat.ts", "src/page.ts", "src/outbox.ts", "src/confide-chat.css", "src/page.css"],
  outdir,
  bundle: true,
  minify: true,
  charset: "utf8",
  format: "iife",
  platform: "browser",
  target: ["es2022"],
  legalComments: "none", // the licence file below carries the full texts
  metafile: true,
  logLevel: "warning",
  plugins: [clean],
});
await writeFile(join(outdir, "confide-chat.js.LICENSES.txt"), await licences(result.metafile));
await Promise.all(pages.map((name) => cp(join(here, "src", name), join(outdir, name))));
