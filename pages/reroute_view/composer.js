// Places things on a 3 × 3 grid. The picture itself is drawn on the server.
const stateOf = new WeakMap();

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const root = parentElement.querySelector(".composer");
  if (!stateOf.has(root)) stateOf.set(root, { items: [] });
  const state = stateOf.get(root);
  const pictures = new Map(data.palette.map((entry) => [entry.name, entry]));
  const sizeOf = (name) => data.sizes[name.split(":")[0]] ?? data.thingSize;
  const send = () => setStateValue("items", state.items.map((item) => ({ ...item })));

  root.replaceChildren();
  const canvas = make("div", "canvas", root);
  canvas.setAttribute("role", "group");
  canvas.setAttribute("aria-label", data.words.scene);
  const share = data.horizon * 100;
  canvas.style.background =
    `linear-gradient(${data.wall} ${share}%, ${data.floor} ${share}%)`;
  const grid = make("div", "grid", canvas);
  for (const at of [33.33, 66.67]) {
    make("i", "", grid).style.cssText = `left:${at}%;top:0;width:1px;height:100%`;
    make("i", "", grid).style.cssText = `top:${at}%;left:0;height:1px;width:100%`;
  }
  const row = make("div", "row", root);
  make("span", "hint", row).textContent = data.words.hint;
  const clear = make("button", "clear", row);
  clear.textContent = data.words.clear;
  clear.onclick = () => { state.items = []; draw(); send(); };
  const palette = make("div", "palette", root);
  for (const entry of data.palette) {
    const button = make("button", "", palette);
    button.title = entry.title;
    button.setAttribute("aria-label", entry.title);
    make("img", "", button).src = entry.picture;
    button.onclick = () => add(entry.name);
  }
  draw();

  function make(tag, name, parent) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    parent.append(element);
    return element;
  }

  function snap(name, x, y) {
    const row = Math.min(2, Math.max(0, Math.floor(y * 3)));
    const wide = name.startsWith("sign:");
    const column = Math.min(2, Math.max(0, Math.floor(x * 3)));
    // A sign takes two cells of its row.
    const centre = wide ? (x < 0.5 ? 1 / 3 : 2 / 3) : (column + 0.5) / 3;
    return { x: centre, y: (row + 0.5) / 3 };
  }

  function cells(item) {
    const row = Math.floor(item.y * 3);
    if (!item.name.startsWith("sign:")) return [row * 3 + Math.floor(item.x * 3)];
    const first = item.x < 0.5 ? 0 : 1;
    return [row * 3 + first, row * 3 + first + 1];
  }

  function free(item, others) {
    const taken = new Set(others.flatMap(cells));
    return cells(item).every((cell) => !taken.has(cell));
  }

  function add(name) {
    for (let cell = 0; cell < 9; cell++) {
      const at = snap(name, ((cell % 3) + 0.5) / 3, (Math.floor(cell / 3) + 0.5) / 3);
      const item = { name, ...at };
      if (free(item, state.items)) { state.items.push(item); draw(); send(); return; }
    }
  }

  function move(item, x, y) {
    const moved = { name: item.name, ...snap(item.name, x, y) };
    if (!free(moved, state.items.filter((other) => other !== item))) return false;
    item.x = moved.x; item.y = moved.y;
    return true;
  }

  function draw() {
    for (const old of canvas.querySelectorAll(".thing")) old.remove();
    for (const item of state.items) {
      const thing = make("button", "thing", canvas);
      thing.style.width = `${sizeOf(item.name) * 100}%`;
      const put = () => {
        thing.style.left = `${item.x * 100}%`;
        thing.style.top = `${item.y * 100}%`;
      };
      put();
      const title = pictures.get(item.name)?.title ?? item.name;
      thing.setAttribute("aria-label", title);
      make("img", "", thing).src = pictures.get(item.name)?.picture ?? "";
      const remove = () => { state.items = state.items.filter((other) => other !== item); draw(); send(); };
      thing.ondblclick = remove;
      thing.onkeydown = (event) => {
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (event.key === "Delete" || event.key === "Backspace") { event.preventDefault(); remove(); }
        if (step) {
          event.preventDefault();
          if (move(item, item.x + step[0] / 3, item.y + step[1] / 3)) { put(); send(); }
        }
      };
      thing.onpointerdown = (event) => {
        thing.setPointerCapture(event.pointerId);
        thing.onpointermove = (drag) => {
          const box = canvas.getBoundingClientRect();
          thing.style.left = `${((drag.clientX - box.left) / box.width) * 100}%`;
          thing.style.top = `${((drag.clientY - box.top) / box.height) * 100}%`;
        };
        thing.onpointerup = (drop) => {
          thing.onpointermove = thing.onpointerup = null;
          const box = canvas.getBoundingClientRect();
          const before = [item.x, item.y];
          move(item, (drop.clientX - box.left) / box.width, (drop.clientY - box.top) / box.height);
          put();
          if (before[0] !== item.x || before[1] !== item.y) send();
        };
      };
    }
  }
}
