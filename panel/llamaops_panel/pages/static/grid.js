// A dense table that becomes a list of cards on narrow screens. Whatever it shows is text, never HTML.
// A cell is text, or {t: text, href, tone, title, bar: 0..1, tags: [{t, tone}], acts: [{name, t, tone, off: reason}]}.
import { h } from "vue";

const text = (cell) => (cell == null ? "" : typeof cell === "object" ? (cell.t ?? "") : cell);
const rank = (cell) => (cell != null && typeof cell === "object" && cell.sort !== undefined ? cell.sort : text(cell));

function compare(a, b) {
  const [x, y] = [rank(a), rank(b)];
  if (typeof x === "number" && typeof y === "number") return x - y;
  return String(x).localeCompare(String(y), undefined, { numeric: true });
}

export default {
  props: { columns: Array, rows: Array, label: String, empty: String, find: Boolean, choose: Boolean, step: Number },
  emits: ["act", "chosen"],
  data() {
    return { held: this.rows, query: "", by: null, down: false, shown: this.step, picked: new Set() };
  },
  watch: {
    rows(rows) {
      this.held = rows;
    },
  },
  computed: {
    found() {
      const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
      const held = words.length ? this.held.filter((row) => words.every((word) => this.all(row).includes(word))) : this.held;
      if (!this.by) return held;
      return [...held].sort((a, b) => compare(a.cells[this.by], b.cells[this.by]) * (this.down ? -1 : 1));
    },
  },
  methods: {
    patch(changed, order) {
      const known = new Map(this.held.map((row) => [row.id, row]));
      for (const row of changed) known.set(row.id, row);
      this.held = order ? order.map((id) => known.get(id)).filter(Boolean) : this.held.map((row) => known.get(row.id));
    },
    clearChosen() {
      this.picked = new Set();
    },
    all(row) {
      const parts = this.columns.map((column) => {
        const cell = row.cells[column.name];
        return [text(cell), ...((cell && cell.tags) || []).map(text)].join(" ");
      });
      return parts.join(" ").toLowerCase();
    },
    sort(name) {
      this.down = this.by === name ? !this.down : false;
      this.by = name;
    },
    pick(id) {
      this.picked.has(id) ? this.picked.delete(id) : this.picked.add(id);
      this.$emit("chosen", [...this.picked]);
      this.$forceUpdate();
    },
    cell(row, column, first) {
      const cell = row.cells[column.name];
      if (cell == null || typeof cell !== "object") return cell == null ? "" : String(cell);
      const inside = [];
      const shown = text(cell);
      if (cell.href && cell.href.startsWith("/")) inside.push(h("a", { href: cell.href, title: cell.title }, shown));
      else if (cell.tone && !cell.bar && cell.bar !== 0) {
        inside.push(h("span", { class: ["tag", "tone-" + cell.tone], title: cell.title }, shown));
      } else if (shown !== "") inside.push(h("span", { title: cell.title }, shown));
      if (cell.bar !== undefined && cell.bar !== null) {
        const part = Math.max(0, Math.min(1, cell.bar));
        const width = { width: (part * 100).toFixed(1) + "%" };
        inside.unshift(
          h("span", { class: "bar", title: cell.title, "aria-hidden": "true" }, [
            h("span", { class: ["fill", "tone-" + (cell.tone || "info")], style: width }),
          ]),
        );
      }
      for (const tag of cell.tags || []) inside.push(h("span", { class: ["tag", "tone-" + (tag.tone || "off")], title: tag.title }, text(tag)));
      for (const act of cell.acts || []) {
        inside.push(
          h(
            "button",
            {
              type: "button",
              class: ["act", act.tone ? "tone-" + act.tone : ""],
              disabled: !!act.off,
              title: act.off || act.title,
              "aria-label": act.t + " " + row.id,
              onClick: () => this.$emit("act", { row: row.id, name: act.name }),
            },
            act.t,
          ),
        );
      }
      return inside;
    },
  },
  render() {
    const rows = this.found.slice(0, this.shown);
    const heads = this.columns.map((column) =>
      h(
        "th",
        {
          scope: "col",
          class: [column.kind, column.less ? "less" : ""],
          "aria-sort": this.by === column.name ? (this.down ? "descending" : "ascending") : "none",
        },
        column.kind === "acts"
          ? column.label
          : h("button", { type: "button", onClick: () => this.sort(column.name) }, [
              column.label,
              this.by === column.name ? (this.down ? " ↓" : " ↑") : "",
            ]),
      ),
    );
    const body = rows.map((row) =>
      h("tr", { key: row.id, class: row.tone ? "row-" + row.tone : "" }, [
        this.choose &&
          h("td", { class: "pick" }, [
            h("input", {
              type: "checkbox",
              checked: this.picked.has(row.id),
              "aria-label": "Choose " + row.id,
              onChange: () => this.pick(row.id),
            }),
          ]),
        ...this.columns.map((column, at) =>
          h(
            "td",
            { class: [column.kind, column.less ? "less" : "", at === 0 ? "lead" : ""], "data-label": column.label },
            this.cell(row, column, at === 0),
          ),
        ),
      ]),
    );
    const parts = [];
    if (this.find) {
      parts.push(
        h("div", { class: "find" }, [
          h("input", {
            type: "search",
            placeholder: "Filter  ( / )",
            "aria-label": "Filter " + this.label,
            "data-find": "1",
            value: this.query,
            onInput: (event) => (this.query = event.target.value),
          }),
          h("span", { class: "count" }, this.found.length === this.held.length ? `${this.held.length}` : `${this.found.length} of ${this.held.length}`),
        ]),
      );
    }
    if (!this.held.length) parts.push(h("p", { class: "empty" }, this.empty));
    else {
      parts.push(
        h("div", { class: "scroll" }, [
          h("table", { class: "dense", "aria-label": this.label }, [
            h("thead", [h("tr", [this.choose && h("th", { class: "pick" }), ...heads])]),
            h("tbody", body),
          ]),
        ]),
      );
      if (this.found.length > this.shown) {
        const left = this.found.length - this.shown;
        parts.push(h("button", { type: "button", class: "more", onClick: () => (this.shown += 500) }, `Show ${left} more`));
      }
    }
    return h("div", { class: "gridbox" }, parts);
  },
};
