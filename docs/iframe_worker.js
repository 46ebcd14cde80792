// Search in a page that is read from a file: browsers start no worker from `file:`, so its script
// runs in a hidden frame. It stands in for the package iframe-worker, which Material for
// MkDocs would load from the network.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.appendChild(frame)
      this.frame = frame
      this.inside = frame.contentWindow
      this.loaded = new Promise(resolve => (this.inside.begun = resolve))
      this.receive = event => {
        if (event.source !== this.inside) return
        event.stopImmediatePropagation()
        const copy = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(copy)
        if (this.onmessage) this.onmessage(copy)
      }
      window.addEventListener("message", this.receive)
      this.inside.document.open()
      this.inside.document.write(
        "<html><body><script>" +
          "postMessage = data => parent.postMessage(data, '*');" +
          "importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise(done => {" +
          "const script = document.createElement('script'); script.src = url;" +
          "script.onload = script.onerror = done; document.body.appendChild(script) })), Promise.resolve());" +
          "</scr" + "ipt><script src='" + url + "'></scr" + "ipt><script>begun()</scr" + "ipt></body></html>"
      )
      this.inside.document.close()
    }
    postMessage(data) {
      this.loaded.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }
    terminate() {
      window.removeEventListener("message", this.receive)
      this.frame.remove()
    }
  }
}
