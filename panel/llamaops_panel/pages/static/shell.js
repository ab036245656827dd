// Whether the page is connected to the panel, and the keyboard: / filters, g and a letter goes, ? explains, t is the theme.
import { h } from "vue";

const NAMES = { on: ["live", "tone-ok"], off: ["offline", "tone-error"], wait: ["connecting", "tone-off"] };

export default {
  props: { keys: Object },
  emits: ["theme"],
  data() {
    return { state: "wait", going: false };
  },
  mounted() {
    document.addEventListener("keydown", this.pressed);
    const watch = () => {
      const socket = window.socket;
      if (!socket) return setTimeout(watch, 100);
      if (socket.connected) this.state = "on";
      socket.on("connect", () => (this.state = "on"));
      for (const end of ["disconnect", "connect_error"]) socket.on(end, () => (this.state = "off"));
    };
    watch();
  },
  unmounted() {
    document.removeEventListener("keydown", this.pressed);
  },
  methods: {
    pressed(event) {
      const field = event.target.closest("input, textarea, select, [contenteditable]");
      if (event.key === "Escape" && field) return field.blur();
      if (field || event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.going) {
        this.going = false;
        if (this.keys[event.key]) window.location.assign(this.keys[event.key]);
      } else if (event.key === "g") {
        this.going = true;
        setTimeout(() => (this.going = false), 1500);
      } else if (event.key === "/") {
        const box = [...document.querySelectorAll("[data-find]")].find((item) => item.offsetParent);
        if (box) {
          event.preventDefault();
          box.focus();
        }
      } else if (event.key === "?") document.getElementById("shortcuts")?.toggleAttribute("hidden");
      else if (event.key === "t") this.$emit("theme");
    },
  },
  render() {
    const [name, tone] = NAMES[this.state];
    return h("span", { class: ["tag", tone], role: "status" }, name);
  },
};
