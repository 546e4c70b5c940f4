// Plays the story of one decision once; back, next and the arrow keys step through it.
const players = new WeakMap();

const PACE = 2600;

const ORDER = ["question", "before", "examples", "move", "after"];

export default function (component) {
  const root = component.parentElement.querySelector(".player");
  let player = players.get(root);
  if (!player) {
    player = new Player(root);
    players.set(root, player);
  }
  player.update(component.data);
}

function make(tag, name, parent, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

class Player {
  constructor(root) {
    this.root = root;
    this.place = 0;
    this.timer = null;
    root.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight") this.go(this.place + 1);
      else if (event.key === "ArrowLeft") this.go(this.place - 1);
      else return;
      event.preventDefault();
    });
  }

  update(data) {
    const fresh = this.data?.id !== data.id;
    this.data = data;
    this.build();
    if (!fresh) return this.draw();
    // Who wants no motion sees the end, and can step back.
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.place = still ? data.shots.length - 1 : 0;
    this.draw();
    if (!still) this.play();
  }

  build() {
    const { data, root } = this;
    root.replaceChildren();
    this.say = make("div", "say", root);
    this.say.setAttribute("aria-live", "polite");
    const stage = make("div", "stage", root);
    const subject = make("div", "subject", stage);
    const picture = make("img", "", subject);
    picture.src = data.picture;
    picture.alt = data.question;
    make("q", "", subject, data.question);
    const side = make("div", "side", stage);
    this.weights = make("div", "part", side);
    make("small", "", this.weights, data.words.weights);
    this.bars = data.experts.map((expert) => {
      const bar = make("div", "bar", this.weights);
      make("span", "name", bar, expert.name);
      const fill = make("i", "", make("div", "track", bar));
      fill.style.background = expert.colour;
      return { bar, fill, value: make("span", "value", bar) };
    });
    const cards = make("div", "cards", side);
    this.before = this.card(cards, data.words.before, data.before);
    this.after = this.card(cards, data.words.after, data.after);
    this.seal = make("div", "part seal", side, data.words.fingerprint + ": ");
    make("code", "", this.seal, data.fingerprints[0]);
    this.seal.append(data.fingerprints[0] === data.fingerprints[1] ? " = " : " ≠ ");
    make("code", "", this.seal, data.fingerprints[1]);
    this.examples = make("div", "part", root);
    make("small", "", this.examples, data.words.examples);
    const strip = make("div", "examples", this.examples);
    for (const example of data.examples) {
      const figure = make("figure", "", strip);
      const image = make("img", "", figure);
      image.src = example.picture;
      image.alt = "";
      const caption = make("figcaption", "", figure);
      make("div", "", caption, example.question).title = example.question;
      const expert = make("div", "", caption);
      make("span", "dot", expert).style.background = example.colour;
      expert.append(example.expert);
    }
    const row = make("div", "row", root);
    this.back = make("button", "back", row, "‹ " + data.words.back);
    this.next = make("button", "next", row, data.words.next + " ›");
    this.again = make("button", "again", row);
    this.dots = make("div", "dots", row);
    data.shots.forEach(() => make("i", "", this.dots));
    make("small", "", row, data.words.keys);
    this.back.onclick = () => this.go(this.place - 1);
    this.next.onclick = () => this.go(this.place + 1);
    this.again.onclick = () => {
      if (this.timer) { this.stop(); this.draw(); return; }
      this.place = 0;
      this.draw();
      this.play();
    };
  }

  card(parent, title, { answer, right }) {
    const kind = right === null ? "" : right ? "good" : "bad";
    const card = make("div", `part card ${kind}`, parent);
    make("small", "", card, title);
    make("b", "", card, answer);
    const { words } = this.data;
    if (right !== null) make("small", "", card, right ? `✓ ${words.right}` : `✗ ${words.wrong}`);
    return card;
  }

  go(place) {
    this.stop();
    this.place = Math.max(0, Math.min(place, this.data.shots.length - 1));
    this.draw();
  }

  play() {
    this.stop();
    this.timer = setInterval(() => {
      if (!this.root.isConnected) return this.stop();
      this.place += 1;
      if (this.place === this.data.shots.length - 1) this.stop();
      return this.draw();
    }, PACE);
    this.draw();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
  }

  draw() {
    const { data } = this;
    const shot = data.shots[this.place];
    this.say.replaceChildren();
    make("b", "", this.say, shot.title);
    make("span", "", this.say, shot.text);
    const reached = ORDER.indexOf(shot.reveal);
    const show = (part, from) => part.classList.toggle("off", reached < ORDER.indexOf(from));
    show(this.weights, "before");
    show(this.before, "before");
    show(this.examples, "examples");
    show(this.after, "after");
    show(this.seal, "after");
    const { weights, used } = data.steps[shot.step];
    this.bars.forEach(({ bar, fill, value }, place) => {
      fill.style.width = `${100 * weights[place]}%`;
      value.textContent = `${Math.round(100 * weights[place])} %`;
      bar.classList.toggle("idle", !used[place]);
    });
    const last = this.place === data.shots.length - 1;
    this.back.disabled = this.place === 0;
    this.next.disabled = last;
    this.again.textContent = this.timer ? data.words.pause : data.words.again;
    [...this.dots.children].forEach((dot, place) => dot.classList.toggle("on", place === this.place));
    this.root.dataset.shot = this.place;
  }
}
