// The review page. Texts of rows are set as text alone: nothing here makes HTML of a string.

const token = location.pathname.split("/")[1];
const at = (id) => document.getElementById(id);

const DECKS = {
  pairs: {
    name: "Pairs", one: "Pair", scored: "Margin", replies: ["First reply", "Second reply"],
    verdicts: [
      ["first", "First is better", ["1", "ArrowLeft"], true],
      ["second", "Second is better", ["2", "ArrowRight"], true],
      ["tie", "Tie", ["3", "t"]],
      ["both_bad", "Both bad", ["4", "b"]],
    ],
  },
  replies: {
    name: "Replies", one: "Reply", scored: "Score", replies: ["Reply"],
    verdicts: [["pass", "Good", ["1", "ArrowLeft"], true], ["fail", "Bad", ["2", "ArrowRight"], true]],
  },
  dropped: {
    name: "Dropped samples", one: "Dropped sample", scored: "Measured", replies: ["Reply in the data"],
    verdicts: [
      ["keep", "Should be kept", ["1", "ArrowLeft"], true],
      ["drop", "Rightly dropped", ["2", "ArrowRight"], true],
    ],
  },
};
const SHARED = [["skip", "Skip", ["s"]], ["undo", "Undo", ["u"]], ["note", "Note", ["n"]]];
const SHOWN = { ArrowLeft: "←", ArrowRight: "→", s: "S", u: "U", n: "N", t: "T", b: "B" };

const now = { state: null, choices: null, person: "", deck: "pairs", item: null, left: 0, wanted: {}, busy: false };

// Builds an element; children are elements or plain text.
function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "on") made.addEventListener("click", value);
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

async function ask(path, body) {
  const sent = body === undefined ? {} : {
    method: "POST",
    headers: { "content-type": "application/json", "x-review-token": token },
    body: JSON.stringify(body),
  };
  const answer = await fetch(`api/${path}`, sent);
  const told = answer.headers.get("content-type") === "application/json" ? await answer.json() : {};
  if (!answer.ok) throw new Error(told.error ?? `the server answered ${answer.status}`);
  return told;
}

// Does one thing at a time: a key that is held down, or pressed while a verdict is on its way, judges nothing.
async function alone(work) {
  if (now.busy) return;
  now.busy = true;
  at("fault").textContent = "";
  try {
    await work();
  } catch (error) {
    at("fault").textContent = `Not saved: ${error.message}. Nothing was lost that was called saved before.`;
  } finally {
    now.busy = false;
  }
}

async function start(person) {
  now.person = person;
  now.state = await ask(`state?${new URLSearchParams({ person })}`);
  at("who").hidden = true;
  at("tools").hidden = false;
  now.deck = Object.keys(DECKS).find((name) => now.state.decks[name]) ?? "pairs";
  at("decks").replaceChildren(...Object.entries(DECKS).map(([name, deck]) => make("button", {
    type: "button", "data-deck": name, disabled: !now.state.decks[name], on: () => alone(() => open(name)),
  }, deck.name)));
  await open(now.deck);
}

async function open(name) {
  now.deck = name;
  now.wanted = {};
  await showDeck();
  await next("");
}

async function showDeck() {
  for (const button of at("decks").children) button.setAttribute("aria-pressed", String(button.dataset.deck === now.deck));
  now.choices = await ask(`deck?${new URLSearchParams({ deck: now.deck })}`);
  showFilters();
  showKeys();
}

async function next(said) {
  const asked = new URLSearchParams({ deck: now.deck, person: now.person, ...now.wanted });
  const told = await ask(`next?${asked}`);
  now.left = told.left;
  show(told.item, said);
}

function show(item, said) {
  now.item = item;
  const deck = DECKS[now.deck];
  at("item").hidden = item === null;
  at("done").hidden = item !== null;
  showProgress();
  if (item === null) {
    at("done").textContent = Object.keys(now.wanted).length
      ? "Nothing is left that the filter lets through."
      : "Nothing is left to read here.";
  } else {
    at("heading").textContent = `${deck.one} ${(now.state.own[now.deck] + 1).toLocaleString("en")}`;
    const plain = item.prompt.length === 1 && item.prompt[0].role === "user";
    at("prompt").replaceChildren(...item.prompt.map((one) => turn(one, plain)));
    at("replies").replaceChildren(...item.replies.map((reply, place) => {
      const id = `reply-${place}`;
      return make("section", { "aria-labelledby": id }, make("h3", { id }, deck.replies[place]), text(reply));
    }));
    at("note").value = item.note;
    at("verdicts").replaceChildren(...[...deck.verdicts, ...SHARED].map(verdictButton));
  }
  at("status").textContent = said;
  window.scrollTo(0, 0);
  at(item === null ? "done" : "heading").focus({ preventScroll: true });
}

function turn(one, plain) {
  const parts = [text(one.text)];
  if (one.calls) parts.push(make("h4", {}, "Tool calls"), text(one.calls));
  return make("div", { class: "turn" }, ...(plain ? [] : [make("h4", {}, one.role)]), ...parts);
}

function text(given) {
  if (given === null) return make("p", { class: "text none" }, "no reply");
  if (given === "") return make("p", { class: "text none" }, "empty");
  if (given.trim() === "") return make("p", { class: "text none" }, `${given.length.toLocaleString("en")} blanks and nothing else`);
  return make("p", { class: "text", dir: "auto" }, given);
}

function verdictButton([verdict, label, keys, main]) {
  return make("button", {
    type: "button", "data-verdict": verdict, class: main ? "main" : "",
    "aria-keyshortcuts": at("keys").checked ? keys.join(" ") : null,
    disabled: verdict === "undo" && !now.state.undo, on: () => act(verdict),
  }, label, make("kbd", { "aria-hidden": "true" }, SHOWN[keys[0]] ?? keys[0]));
}

function act(verdict) {
  if (verdict === "note") return void at("note").focus();
  return void alone(() => (verdict === "undo" ? undo() : judge(verdict)));
}

async function judge(verdict) {
  if (!now.item) return;
  const { deck, key } = now.item;
  Object.assign(now.state, await ask("verdict", { deck, key, person: now.person, verdict, note: at("note").value.trim() }));
  const label = [...DECKS[deck].verdicts, ...SHARED].find(([name]) => name === verdict)[1];
  await next(`Saved: ${label.toLowerCase()}.`);
}

async function undo() {
  const told = await ask("undo", { person: now.person });
  Object.assign(now.state, told);
  if (!told.item) return void (at("status").textContent = "Nothing is left to take back.");
  if (told.item.deck !== now.deck) {
    now.wanted = {};
    now.deck = told.item.deck;
    await showDeck();
  }
  now.left += 1;
  show(told.item, "Taken back. Read it again.");
}

function showProgress() {
  const own = now.state.own[now.deck];
  at("progress").textContent = `${now.person}: ${own.toLocaleString("en")} read, ${now.left.toLocaleString("en")} left`;
  const told = now.state.agreement[now.deck];
  const figure = (value) => (value === null ? "none yet" : value.toFixed(3));
  at("agreement").textContent = told.by_several
    ? `${told.by_several.toLocaleString("en")} read by several; Krippendorff's alpha ${figure(told.alpha)}.`
    : "Nothing was read by two reviewers yet, so agreement is not known.";
  fill("counts", Object.entries(told.people).map(([name, count]) => [name, count.toLocaleString("en")]));
  fill("kappas", told.pairs.filter((two) => two.both).map((two) => [
    two.people.join(" and "), two.both.toLocaleString("en"), `${(100 * two.same).toFixed(1)} %`, figure(two.kappa),
  ]));
}

function fill(id, rows) {
  at(id).hidden = rows.length === 0;
  at(id).tBodies[0].replaceChildren(...rows.map(([name, ...cells]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((cell) => make("td", {}, cell)))));
}

function showFilters() {
  const choices = now.choices;
  const options = (names) => [make("option", { value: "" }, "all"), ...names.map((name) => make("option", { value: name }, name))];
  at("source").replaceChildren(...options(choices.sources));
  at("rule").replaceChildren(...options(choices.rules));
  at("scored").textContent = DECKS[now.deck].scored;
  for (const [id, value] of [["least", choices.least], ["most", choices.most]]) {
    at(id).value = "";
    at(id).placeholder = value === null ? "" : String(Number(value.toPrecision(4)));
    at(id).disabled = value === null;
  }
  at("apart").checked = false;
  at("apart").disabled = choices.apart === 0;
  at("aparts").textContent = `(${choices.apart.toLocaleString("en")})`;
}

function showKeys() {
  at("keylist").replaceChildren(...[...DECKS[now.deck].verdicts, ...SHARED].flatMap(([, label, keys]) => [
    make("dt", {}, ...keys.flatMap((key, place) => [place ? " or " : "", make("kbd", {}, SHOWN[key] ?? key)])),
    make("dd", {}, label),
  ]), make("dt", {}, make("kbd", {}, "Esc")), make("dd", {}, "Leave the note"));
}

at("wanted").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = { source: at("source").value, rule: at("rule").value, least: at("least").value, most: at("most").value };
  now.wanted = Object.fromEntries(Object.entries(given).filter(([, value]) => value.trim() !== ""));
  if (at("apart").checked) now.wanted.apart = "true";
  void alone(() => next("Filter applied."));
});
at("wanted").addEventListener("reset", (event) => {
  event.preventDefault();
  showFilters();
  now.wanted = {};
  void alone(() => next("Filter cleared."));
});
at("who").addEventListener("submit", (event) => {
  event.preventDefault();
  void alone(() => start(at("name").value.trim()));
});
at("keys").addEventListener("change", () => {
  if (now.item) at("verdicts").replaceChildren(...[...DECKS[now.deck].verdicts, ...SHARED].map(verdictButton));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target === at("note")) return void at("heading").focus({ preventScroll: true });
  const typing = event.target.closest("input, select, textarea");
  if (!now.item || !at("keys").checked || typing || event.repeat) return;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const found = [...DECKS[now.deck].verdicts, ...SHARED].find(([, , keys]) => keys.includes(key));
  if (!found) return;
  event.preventDefault();
  act(found[0]);
});

await alone(async () => {
  const state = await ask("state");
  at("run").textContent = `${state.run}, ${state.version}`;
  document.title = `Review ${state.run}`;
  if (state.person) return void (await start(state.person));
  at("who").hidden = false;
  at("name").focus();
});
