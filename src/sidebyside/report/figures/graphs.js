// Graphs whose blocks open: draws what `sidebyside.drawing.nested` wrote beside it.
(() => {
  "use strict";
  const SPACE = "http://www.w3.org/2000/svg";
  const HIGH = 40, GAP = 18, BETWEEN = 44, MARGIN = 14, HEAD = 26;
  const ROLES = { p: "placeholder", v: "variable", c: "constant", o: "op", r: "output" };

  const make = (tag, attributes, ...inside) => {
    const found = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
    found.append(...inside);
    return found;
  };
  const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

  function explore(section, place) {
    const data = JSON.parse(section.querySelector("script").textContent);
    const view = section.querySelector(".graph-view");
    const said = section.querySelector(".graph-said");
    const field = section.querySelector("input");
    const word = (column, node) => data.words[data[column][node]];
    const holder = new Map(); // the block in which each node stands
    let zoom = 1, focused = null, shown = [], drawing = null, matches = [], match = -1;

    // every block knows its parent, its depth and how many nodes it holds
    const prepare = (block, parent, depth) => {
      Object.assign(block, { parent, depth, open: false, count: "node" in block ? 1 : 0 });
      block.members.forEach((member, number) => {
        if (typeof member === "number") {
          block.count += 1;
          block.members[number] = { node: member, parent: block, depth: depth + 1, count: 1 };
          holder.set(member, block.members[number]);
        } else {
          prepare(member, block, depth + 1);
          block.count += member.count;
          if ("node" in member) holder.set(member.node, member);
        }
      });
    };
    prepare(data.root, null, 0);
    data.root.open = true;

    const isBlock = (member) => "members" in member;
    const top = (member) => isBlock(member) ? `+ ${member.title}` : word("label", member.node);
    const below = (member) =>
      isBlock(member) ? count(member.count, "node") : word("type", member.node);
    const spoken = (member) => {
      const inside = isBlock(member) ? `block ${member.title}, ${below(member)}` : "";
      if (!("node" in member)) return inside;
      const { node } = member, call = `${word("name", node)} = ${word("op", node)}`;
      return `${call}, ${inside || word("type", node)}`;
    };

    // sizes from the inside out, places within the block
    const measure = (member) => {
      if (!isBlock(member) || !member.open) {
        member.wide = Math.max(top(member).length, below(member).length, 5) * 7.2 + 16;
        member.high = HIGH;
        return;
      }
      member.members.forEach(measure);
      const [rows, lines] = data.layouts[member.layout];
      const width = (slot) => slot < 0 ? GAP : member.members[slot].wide;
      const total = (row) => row.reduce((sum, slot) => sum + width(slot) + GAP, -GAP);
      const wide = Math.max(0, ...rows.map(total));
      const title = member.parent ? member.title.length * 7.2 + 40 : 0;
      const inner = Math.max(wide, title), bends = new Map();
      let y = member.parent ? HEAD + MARGIN : MARGIN;
      for (const row of rows) {
        const high = Math.max(8, ...row.map((slot) => slot < 0 ? 0 : member.members[slot].high));
        let x = MARGIN + (inner - total(row)) / 2;
        for (const slot of row) {
          if (slot >= 0) Object.assign(member.members[slot], { x, y });
          else {
            const line = -1 - slot;
            bends.set(line, [...(bends.get(line) ?? []), [x + GAP / 2, y], [x + GAP / 2, y + high]]);
          }
          x += width(slot) + GAP;
        }
        y += high + BETWEEN;
      }
      member.lines = [];
      for (let line = 0; line < lines.length / 2; line += 1) {
        const [from, to] = [member.members[lines[2 * line]], member.members[lines[2 * line + 1]]];
        member.lines.push([
          [from.x + from.wide / 2, from.y + from.high],
          ...(bends.get(line) ?? []),
          [to.x + to.wide / 2, to.y],
        ]);
      }
      member.wide = inner + 2 * MARGIN;
      member.high = y - BETWEEN + MARGIN;
    };

    const curve = ([[x, y], ...rest]) => {
      let path = `M${x.toFixed(1)},${y.toFixed(1)}`;
      for (const [nextX, nextY] of rest) {
        const bend = (nextY - y) / 2;
        path += ` C${x.toFixed(1)},${(y + bend).toFixed(1)} ${nextX.toFixed(1)},${(nextY - bend).toFixed(1)} ${nextX.toFixed(1)},${nextY.toFixed(1)}`;
        [x, y] = [nextX, nextY];
      }
      return path;
    };
    const text = (x, y, words, more) =>
      make("text", { class: "sg-text", x, y, "text-anchor": "middle", ...more }, words);

    const draw = (member) => {
      const inside = member.open ? make("g", { role: "group" }) : null;
      if (inside) {
        for (const points of member.lines) {
          inside.append(make("path", {
            class: "sg-edge", d: curve(points), fill: "none", "marker-end": `url(#opened-${place})`,
          }));
        }
        member.members.forEach((each) => inside.append(draw(each)));
      }
      if (!member.parent) return inside;
      const role = "node" in member ? ROLES[data.role[member.node]] : "op";
      const box = make("g", {
        role: "treeitem", tabindex: -1, "aria-label": spoken(member), "aria-level": member.depth,
        transform: `translate(${member.x.toFixed(1)},${member.y.toFixed(1)})`,
      });
      if (isBlock(member)) box.setAttribute("aria-expanded", member.open);
      if (matches[match] === member.node && match >= 0) box.setAttribute("class", "graph-match");
      if (isBlock(member) && !member.open) {
        box.append(make("rect", {
          class: `sg-box sg-${role}`, x: 4, y: 4, width: member.wide, height: member.high, rx: 7,
        }));
      }
      box.append(make("rect", {
        class: `sg-box ${inside ? "graph-open" : `sg-${role}`}`, width: member.wide,
        height: member.high, rx: 7,
      }));
      if (inside) {
        box.append(make("text", { class: "sg-text graph-title", x: 12, y: 18 }, `− ${member.title}`), inside);
      } else {
        box.append(
          text(member.wide / 2, 16, top(member), { "font-weight": "bold" }),
          text(member.wide / 2, 31, below(member), { "font-size": 11, "fill-opacity": 0.7 }),
        );
      }
      member.box = box;
      box.member = member;
      shown.push(member);
      return box;
    };

    const scale = () => {
      drawing.setAttribute("width", (data.root.wide * zoom).toFixed(1));
      drawing.setAttribute("height", (data.root.high * zoom).toFixed(1));
    };
    const redraw = () => {
      shown = [];
      measure(data.root);
      const arrow = make("marker", {
        id: `opened-${place}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7,
        markerHeight: 7, orient: "auto",
      }, make("path", { class: "sg-arrow", d: "M0,0 L8,4 L0,8 z" }));
      const inside = draw(data.root);
      shown.sort((a, b) => a.box.compareDocumentPosition(b.box) & 4 ? -1 : 1);
      drawing = make("svg", {
        class: "sg", role: "tree", "aria-label": section.dataset.title, "font-size": 12,
        viewBox: `0 0 ${data.root.wide.toFixed(1)} ${data.root.high.toFixed(1)}`,
        "font-family": "Helvetica, Arial, sans-serif",
      }, make("defs", {}, arrow), inside);
      scale();
      view.replaceChildren(drawing);
      if (!focused || !shown.includes(focused)) focused = shown[0] ?? null;
      focused?.box.setAttribute("tabindex", 0);
    };

    const tell = (...parts) => said.replaceChildren(...parts);
    const describe = (member) => {
      if (!("node" in member)) return tell(`${member.title}: ${below(member)}.`);
      const { node } = member, parts = [spoken(member)];
      if (word("place", node)) parts.push(`, at ${word("place", node)}`);
      data.operands[node].forEach((operand, number) => {
        const go = document.createElement("button");
        go.type = "button";
        go.textContent = word("name", operand);
        go.addEventListener("click", () => reveal(operand));
        parts.push(number ? " " : "; operands: ", go);
      });
      tell(...parts);
    };
    const choose = (member, silent) => {
      focused?.box?.setAttribute("tabindex", -1);
      focused = member;
      member.box.setAttribute("tabindex", 0);
      if (!silent) member.box.focus({ preventScroll: true });
      const box = member.box.getBoundingClientRect(), around = view.getBoundingClientRect();
      const room = (size, outer) => size > outer ? 20 : (outer - size) / 2;
      if (box.left < around.left || box.right > around.right)
        view.scrollLeft += box.left - around.left - room(box.width, around.width);
      if (box.top < around.top || box.bottom > around.bottom)
        view.scrollTop += box.top - around.top - room(box.height, around.height);
      describe(member);
    };
    const toggle = (member, open = !member.open) => {
      if (!isBlock(member) || member.open === open) return;
      member.open = open;
      redraw();
      choose(member);
    };
    function reveal(node, silent) {
      const member = holder.get(node);
      for (let each = member.parent; each; each = each.parent) each.open = true;
      redraw();
      choose(member, silent);
    }

    const zoomTo = (wanted, x = view.clientWidth / 2, y = view.clientHeight / 2) => {
      const before = zoom;
      zoom = Math.min(4, Math.max(0.05, wanted));
      const [left, up] = [view.scrollLeft + x, view.scrollTop + y];
      scale();
      view.scrollLeft = left * zoom / before - x;
      view.scrollTop = up * zoom / before - y;
    };
    const fit = () => zoomTo(Math.min(1, view.clientWidth / data.root.wide));
    const closeAll = (block) => {
      block.open = !block.parent;
      block.members.filter(isBlock).forEach(closeAll);
    };
    const collapse = () => { closeAll(data.root); focused = null; redraw(); fit(); tell(); };

    const search = () => {
      const wanted = field.value.trim().toLowerCase();
      const columns = ["op", "name", "label", "type", "place"];
      const hits = new Set(data.words.flatMap((each, number) =>
        each.toLowerCase().includes(wanted) ? [number] : []));
      matches = wanted
        ? data.op.flatMap((_, node) => columns.some((name) => hits.has(data[name][node])) ? [node] : [])
        : [];
      match = -1;
    };
    const next = (step) => {
      if (match < 0 && !field.value.trim()) return;
      if (match < 0) search();
      if (!matches.length) return tell(`Nothing matches ${field.value}.`);
      match = match < 0 && step < 0 ? matches.length - 1 : (match + step + matches.length) % matches.length;
      reveal(matches[match], true);
      said.prepend(`${(match + 1).toLocaleString("en")} of ${matches.length.toLocaleString("en")}: `);
    };

    const keys = {
      ArrowDown: (at) => shown[at + 1], ArrowUp: (at) => shown[at - 1],
      Home: () => shown[0], End: () => shown[shown.length - 1],
    };
    view.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const key = event.key;
      if (key === "+" || key === "=") zoomTo(zoom * 1.25);
      else if (key === "-") zoomTo(zoom / 1.25);
      else if (key === "0") fit();
      else if (key === "/") field.focus();
      else if (!focused || event.target === view) return;
      else if (key in keys) { const goal = keys[key](shown.indexOf(focused)); if (goal) choose(goal); }
      else if (key === "Enter" || key === " ") toggle(focused);
      else if (key === "ArrowRight") focused.open ? choose(focused.members[0]) : toggle(focused, true);
      else if (key === "ArrowLeft") {
        if (focused.open) toggle(focused, false);
        else if (focused.parent.parent) choose(focused.parent);
      } else return;
      event.preventDefault();
    });
    view.addEventListener("click", (event) => {
      const member = event.target.closest("[role=treeitem]")?.member;
      if (!member) return;
      if (isBlock(member)) toggle(member); else choose(member);
    });
    view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the wheel alone scrolls
      event.preventDefault();
      const around = view.getBoundingClientRect();
      zoomTo(zoom * Math.exp(-event.deltaY / 400), event.clientX - around.left, event.clientY - around.top);
    }, { passive: false });
    field.addEventListener("input", search);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); next(event.shiftKey ? -1 : 1); }
    });
    const acts = {
      in: () => zoomTo(zoom * 1.25), out: () => zoomTo(zoom / 1.25), fit, collapse,
      next: () => next(1), previous: () => next(-1),
    };
    for (const button of section.querySelectorAll("button[data-act]"))
      button.addEventListener("click", acts[button.dataset.act]);
    section.querySelector(".graph-bar").hidden = false;
    redraw();
    fit();
  }

  document.querySelectorAll("section.graph").forEach((section, place) => {
    if (section.dataset.ready) return; // a notebook runs this once a cell
    section.dataset.ready = "yes";
    explore(section, `${place}-${Date.now().toString(36)}`);
  });
})();
