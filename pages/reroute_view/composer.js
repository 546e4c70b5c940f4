// Places things on a 3 × 3 grid. The picture itself is drawn on the server.
const sessions = new WeakMap();

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const root = parentElement.querySelector(".composer");
  let session = sessions.get(root);
  if (!session) {
    session = new Composer(root, data.start.map((item) => ({ ...item })));
    sessions.set(root, session);
  }
  session.update(data, (items) => setStateValue("placed", items));
}

function make(tag, name, parent) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  parent.append(element);
  return element;
}

class Composer {
  constructor(root, items) {
    this.root = root;
    this.items = items;
    this.dragging = false;
    this.canvas = make("div", "canvas", root);
    this.canvas.setAttribute("role", "group");
    const grid = make("div", "grid", this.canvas);
    for (const at of [33.33, 66.67]) {
      make("i", "", grid).style.cssText = `left:${at}%;top:0;width:1px;height:100%`;
      make("i", "", grid).style.cssText = `top:${at}%;left:0;height:1px;width:100%`;
    }
    const row = make("div", "row", root);
    this.hint = make("span", "hint", row);
    this.clear = make("button", "clear", row);
    this.clear.onclick = () => { this.items = []; this.draw(); this.send(); };
    this.palette = make("div", "palette", root);
  }

  // The server calls this after every run: what stands is kept, so that focus, scroll and a drag
  // that is under way survive.
  update(data, send) {
    this.data = data;
    this.send = () => send(this.items.map((item) => ({ ...item })));
    this.entries = new Map(data.palette.map((entry) => [entry.name, entry]));
    this.canvas.style.background = `center / 100% 100% url("${data.backdrop}")`;
    this.canvas.setAttribute("aria-label", data.words.scene);
    this.hint.textContent = data.words.hint;
    this.clear.textContent = data.words.clear;
    const names = data.palette.map((entry) => entry.title).join("|");
    if (names !== this.shown) { this.shown = names; this.fill(); }
    if (!this.dragging && !this.canvas.contains(this.focused())) this.draw();
  }

  focused() { return this.root.getRootNode().activeElement; }

  fill() {
    this.palette.replaceChildren();
    for (const entry of this.data.palette) {
      const button = make("button", "", this.palette);
      button.title = entry.title;
      button.setAttribute("aria-label", entry.title);
      make("img", "", button).src = entry.picture;
      button.onclick = () => this.add(entry.name);
    }
  }

  size(name) { return this.data.sizes[name.split(":")[0]] ?? this.data.thingSize; }

  snap(name, x, y) {
    const cell = (share) => Math.min(2, Math.max(0, Math.floor(share * 3)));
    // A sign takes two cells of its row.
    const centre = name.startsWith("sign:") ? (x < 0.5 ? 1 / 3 : 2 / 3) : (cell(x) + 0.5) / 3;
    return { x: centre, y: (cell(y) + 0.5) / 3 };
  }

  cells(item) {
    const row = Math.floor(item.y * 3);
    if (!item.name.startsWith("sign:")) return [row * 3 + Math.floor(item.x * 3)];
    const first = item.x < 0.5 ? 0 : 1;
    return [row * 3 + first, row * 3 + first + 1];
  }

  free(item, others) {
    const taken = new Set(others.flatMap((other) => this.cells(other)));
    return this.cells(item).every((cell) => !taken.has(cell));
  }

  add(name) {
    for (let cell = 0; cell < 9; cell++) {
      const at = this.snap(name, ((cell % 3) + 0.5) / 3, (Math.floor(cell / 3) + 0.5) / 3);
      const item = { name, ...at };
      if (this.free(item, this.items)) {
        this.items.push(item);
        this.draw();
        this.send();
        return;
      }
    }
  }

  remove(item) {
    this.items = this.items.filter((other) => other !== item);
    this.draw();
    this.send();
  }

  move(item, x, y) {
    const moved = { name: item.name, ...this.snap(item.name, x, y) };
    if (moved.x === item.x && moved.y === item.y) return false;
    if (!this.free(moved, this.items.filter((other) => other !== item))) return false;
    item.x = moved.x;
    item.y = moved.y;
    return true;
  }

  draw() {
    for (const old of this.canvas.querySelectorAll(".thing")) old.remove();
    for (const item of this.items) this.show(item);
  }

  show(item) {
    const entry = this.entries.get(item.name);
    const thing = make("div", "thing", this.canvas);
    thing.tabIndex = 0;
    thing.setAttribute("role", "button");
    thing.setAttribute("aria-label", `${entry?.title ?? item.name}. ${this.data.words.keys}`);
    thing.style.width = `${this.size(item.name) * 100}%`;
    make("img", "", thing).src = entry?.picture ?? "";
    const cross = make("span", "cross", thing);
    cross.textContent = "×";
    cross.title = this.data.words.remove;
    cross.onpointerdown = (event) => event.stopPropagation();
    cross.onclick = () => this.remove(item);
    const put = () => {
      thing.style.left = `${item.x * 100}%`;
      thing.style.top = `${item.y * 100}%`;
    };
    put();
    thing.ondblclick = () => this.remove(item);
    thing.onkeydown = (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Delete" || event.key === "Backspace") {
        event.preventDefault();
        this.remove(item);
      }
      if (step) {
        event.preventDefault();
        if (this.move(item, item.x + step[0] / 3, item.y + step[1] / 3)) { put(); this.send(); }
      }
    };
    thing.onpointerdown = (event) => {
      this.dragging = true;
      thing.setPointerCapture(event.pointerId);
      const at = (pointer) => {
        const box = this.canvas.getBoundingClientRect();
        return [(pointer.clientX - box.left) / box.width, (pointer.clientY - box.top) / box.height];
      };
      thing.onpointermove = (drag) => {
        const [x, y] = at(drag);
        thing.style.left = `${x * 100}%`;
        thing.style.top = `${y * 100}%`;
      };
      const end = (moved) => {
        thing.onpointermove = thing.onpointerup = thing.onpointercancel = null;
        this.dragging = false;
        put();
        if (moved) this.send();
      };
      thing.onpointerup = (drop) => end(this.move(item, ...at(drop)));
      thing.onpointercancel = () => end(false);
    };
  }
}
