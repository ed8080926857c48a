// The only part that may connect to other hosts. It receives a URL and returns what it fetches,
// block by block as the page requests it. It never receives data of the page.

window.addEventListener("message", async ({ data, origin, ports: [port] }) => {
  if (origin !== window.location.origin || !port) return;
  let reader = null;
  const tell = (message, transfer = []) => port.postMessage(message, transfer);
  port.onmessage = async ({ data: wish }) => {
    if (wish === "cancel") {
      await reader?.cancel().catch(() => {});
      port.close();
      return;
    }
    try {
      const { done, value } = await reader.read();
      if (done) tell({ done: true });
      else {
        const whole = value.byteLength === value.buffer.byteLength ? value : value.slice();
        tell({ buffer: whole.buffer }, [whole.buffer]);
      }
    } catch (error) {
      tell({ error: String(error.message ?? error) });
    }
  };
  try {
    const response = await fetch(data.url, { credentials: "omit" });
    if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`);
    reader = response.body.getReader();
    // The length of a compressed body says nothing about the decompressed size.
    const isPlain = !response.headers.get("content-encoding");
    tell({ size: isPlain ? Number(response.headers.get("content-length")) || null : null });
  } catch (error) {
    tell({ error: `${data.url}: ${error.message ?? error}` });
  }
});
window.parent.postMessage("fetcher is ready", window.location.origin);
