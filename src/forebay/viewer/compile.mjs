// Compiles the Python sources in archives for one release of Pyodide:
//   node compile.mjs PYODIDE_FOLDER/ ARCHIVE...     (each is replaced)

import fs from "node:fs";

process.on("uncaughtException", (error) => {
  console.error(error.message); // without the source line of a megabyte
  process.exit(1);
});
const [folder, ...archives] = process.argv.slice(2);
const { loadPyodide } = await import(`${folder}pyodide.mjs`);
const pyodide = await loadPyodide({ indexURL: folder });
pyodide.runPython(`
import io, py_compile, zipfile

def compiled(archive):
    out = io.BytesIO()
    with (zipfile.ZipFile(archive) as source,
          zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target):
        for entry in source.infolist():
            content = source.read(entry)
            name = entry.filename
            if name.endswith(".py"):
                with open("/tmp/source.py", "wb") as file:
                    file.write(content)
                try:
                    py_compile.compile("/tmp/source.py", "/tmp/source.pyc", "/" + name, doraise=True,
                        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
                except py_compile.PyCompileError:
                    pass  # a template, or for another Python: as it is
                else:
                    name += "c"
                    with open("/tmp/source.pyc", "rb") as file:
                        content = file.read()
            target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content,
                            zipfile.ZIP_DEFLATED)
    return out.getvalue()
`);
for (const path of archives) {
  pyodide.FS.writeFile("/archive.zip", new Uint8Array(fs.readFileSync(path)));
  const made = pyodide.runPython("compiled('/archive.zip')");
  const view = made.getBuffer("u8");
  fs.writeFileSync(path, view.data);
  view.release();
}
