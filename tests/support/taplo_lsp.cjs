// What an editor is told of a TOML file by taplo's language server, which the editors' plugins have inside: one file is opened, its
// problems are waited for, and completions and the text for one place are asked for.
//
// argv: the module @taplo/lsp, the file, line and column (from 0). Prints a document of JSON.
const fs = require("fs");
const path = require("path");
const { pathToFileURL, fileURLToPath } = require("url");
const [module_, file, line, column] = process.argv.slice(2);
const { TaploLsp } = require(module_);

const uri = pathToFileURL(file).href;
const root = path.dirname(file);
const environment = {
  now: () => new Date(),
  envVar: (name) => process.env[name],
  envVars: () => Object.entries(process.env),
  stdErrAtty: () => false,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  glob: () => [],
  readFile: (name) => fs.promises.readFile(name),
  writeFile: (name, bytes) => fs.promises.writeFile(name, bytes),
  // It asks for the folder of what lies nowhere, too.
  urlToFilePath: (url) => (url.startsWith("file://") ? fileURLToPath(url) : root),
  isAbsolute: (name) => path.isAbsolute(name),
  cwd: () => root,
  findConfigFile: () => undefined,
};

// Nothing is fetched: what the file names lies on this machine.
globalThis.fetch = () => Promise.reject(new Error("there is no network here"));

let lsp;
let next = 0;
let published = 0;
const waiting = new Map();
const opened = {};
const problems = new Promise((resolve) => (opened.resolve = resolve));

function onMessage(message) {
  if (message.method === "workspace/configuration") {
    // No catalog of schemas from elsewhere: the file says which is its own.
    const settings = { schema: { enabled: true, catalogs: [] } };
    lsp.send({ jsonrpc: "2.0", id: message.id, result: message.params.items.map(() => settings) });
  } else if (message.method === "textDocument/publishDiagnostics" && message.params.uri === uri) {
    // They are cleared, then come those of the grammar, then those of the schema.
    published += 1;
    if (published === 3) opened.resolve(message.params.diagnostics);
  } else if (message.method === undefined && waiting.has(message.id)) {
    waiting.get(message.id)(message.result);
  }
}

function ask(method, params) {
  const id = ++next;
  const answer = new Promise((resolve) => waiting.set(id, resolve));
  lsp.send({ jsonrpc: "2.0", id, method, params });
  return answer;
}

async function main() {
  setTimeout(() => {
    process.stderr.write("the server does not answer\n");
    process.exit(1);
  }, 120000).unref();
  lsp = await TaploLsp.initialize(environment, { onMessage });
  const folder = pathToFileURL(root).href;
  await ask("initialize", {
    processId: null,
    rootUri: folder,
    capabilities: { workspace: { configuration: true } },
    workspaceFolders: [{ uri: folder, name: "profiles" }],
  });
  lsp.send({ jsonrpc: "2.0", method: "initialized", params: {} });
  const text = fs.readFileSync(file, "utf8");
  lsp.send({
    jsonrpc: "2.0",
    method: "textDocument/didOpen",
    params: { textDocument: { uri, languageId: "toml", version: 1, text } },
  });
  const diagnostics = await problems;
  const place = { textDocument: { uri }, position: { line: Number(line), character: Number(column) } };
  const completions = await ask("textDocument/completion", place);
  const hover = await ask("textDocument/hover", place);
  process.stdout.write(JSON.stringify({ diagnostics, completions, hover }), () => process.exit(0));
}

main().catch((e) => {
  process.stderr.write(`${e && e.stack ? e.stack : e}\n`);
  process.exit(1);
});
