// Lines of a log as they come: the newest 5000, one text node each, never HTML.
import { h } from "vue";

const KEPT = 5000;

export default {
  props: { label: String, tall: Boolean, whole: Boolean },
  emits: ["save"],
  data() {
    return { paused: false, count: 0, missed: 0 };
  },
  mounted() {
    this.held = [];
    this.query = "";
  },
  methods: {
    append(lines) {
      const box = this.$refs.box;
      if (!box) return;
      const follow = !this.paused;
      this.held.push(...lines);
      if (this.held.length > KEPT) this.held.splice(0, this.held.length - KEPT);
      const part = document.createDocumentFragment();
      for (const line of lines) part.append(this.made(line));
      box.append(part);
      while (box.childNodes.length > KEPT) box.firstChild.remove();
      this.count = this.held.length;
      if (follow) box.scrollTop = box.scrollHeight;
      else this.missed += lines.length;
    },
    made(line) {
      const row = document.createElement("div");
      row.className = "line" + (line.tone ? " line-" + line.tone : "");
      if (line.at) {
        const at = document.createElement("span");
        at.className = "at";
        at.textContent = line.at;
        row.append(at);
      }
      row.append(document.createTextNode(line.t));
      row.hidden = !this.fits(line);
      return row;
    },
    fits(line) {
      return !this.query || line.t.toLowerCase().includes(this.query);
    },
    search(query) {
      this.query = query.toLowerCase();
      this.held.forEach((line, at) => (this.$refs.box.childNodes[at].hidden = !this.fits(line)));
    },
    reset() {
      this.held = [];
      this.count = this.missed = 0;
      this.$refs.box.replaceChildren();
    },
    toggle() {
      this.paused = !this.paused;
      if (!this.paused) {
        this.missed = 0;
        this.$refs.box.scrollTop = this.$refs.box.scrollHeight;
      }
    },
    save(name) {
      const whole = this.held.map((line) => (line.at ? line.at + " " : "") + line.t).join("\n") + "\n";
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([whole], { type: "text/plain" }));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    },
  },
  render() {
    const label = this.paused ? `Resume${this.missed ? ` (${this.missed} new)` : ""}` : "Pause";
    return h("div", { class: ["logview", this.tall ? "tall" : ""] }, [
      h("div", { class: "logbar" }, [
        h("input", {
          type: "search",
          placeholder: "Search  ( / )",
          "aria-label": "Search " + this.label,
          "data-find": "1",
          onInput: (event) => this.search(event.target.value),
        }),
        h("button", { type: "button", class: "act", "aria-pressed": String(this.paused), onClick: () => this.toggle() }, label),
        h("button", { type: "button", class: "act", onClick: () => (this.whole ? this.$emit("save") : this.save(this.label.replace(/[^\w.-]+/g, "-") + ".log")) }, "Download"),
        h("span", { class: "count" }, `${this.count} lines`),
      ]),
      h("div", { ref: "box", class: "lines", role: "log", tabindex: "0", "aria-label": this.label }),
    ]);
  },
};
