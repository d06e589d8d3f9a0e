"use strict";
/* The explorer of the report. A node's id is its kind and its numbers, joined by a bar:
   "t|7" table, "c|7|3" column 3 of table 7, "l|5" cell, "p|2" project; in the overview
   "s|ANALYTICS.CORE" schema and "o|ana@shop.example" owner. What the data holds is told in
   graph.py. Texts reach the page as text nodes only. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { projects, tables, columns, cells, edges } = data;
  const PROJECT = 0, TABLE = 1, CELL = 2, COMPONENT = 3, EVIDENCE = 4, RUNS = 5, SEEN = 6, READ = 7;
  const SHOWN = 50, DRAWN = 60, GROUPS = 10, LISTED = 40, GAP = 12;
  const KINDS = { t: "table", c: "column", l: "cell", p: "project", s: "schema", o: "owner" };
  const PLURALS = { t: "tables", c: "columns", l: "cells", p: "projects", s: "schemas",
    o: "owners" };
  const NOBODY = "no owner";
  const $ = (id) => document.getElementById(id);

  // ---- what is what

  const parts = tables.map((name) => name.match(/"(?:[^"]|"")*"|[^.]+/g) || [name]);
  const oneService = new Set(parts.map(([service]) => service)).size === 1;
  const schemaOf = (table) => parts[table].slice(oneService ? 1 : 0, -1).join(".");
  const ownerOf = (project) => projects[project].owner || NOBODY;
  const grouped = (key) => edges.reduce((groups, edge) => {
    const value = key(edge);
    if (!groups.has(value)) groups.set(value, []);
    groups.get(value).push(edge);
    return groups;
  }, new Map());
  const byTable = grouped((edge) => edge[TABLE]);
  const byProject = grouped((edge) => edge[PROJECT]);
  const byCell = grouped((edge) => edge[CELL]);
  const usageOf = (edge, column) => {
    for (let at = 0; at < edge[READ].length; at += 2)
      if (edge[READ][at] === column) return edge[READ][at + 1];
    return -1;
  };
  const uses = (bits) => data.uses.filter((_, place) => bits & (1 << place)).join(", ");
  const columnsOf = (rows) => {
    const found = new Map();
    for (const edge of rows)
      for (let at = 0; at < edge[READ].length; at += 2)
        found.set(edge[READ][at], (found.get(edge[READ][at]) || 0) | edge[READ][at + 1]);
    return found;
  };
  const split = (id) => {
    const [kind, first, second] = [id[0], ...id.slice(2).split("|")];
    return { kind, first: Number(first), second: Number(second), text: id.slice(2) };
  };
  const edgesOf = (id) => {
    const { kind, first, second, text } = split(id);
    if (kind === "t") return byTable.get(first) || [];
    if (kind === "c") return (byTable.get(first) || []).filter((one) => usageOf(one, second) >= 0);
    if (kind === "l") return byCell.get(first) || [];
    if (kind === "p") return byProject.get(first) || [];
    if (kind === "s") return edges.filter((one) => schemaOf(one[TABLE]) === text);
    return edges.filter((one) => ownerOf(one[PROJECT]) === text);
  };
  const cellName = (cell) => cells[cell][2] || `cell ${cells[cell][1].slice(0, 8)}`;
  const nameOf = (id) => {
    const { kind, first, second, text } = split(id);
    if (kind === "t") return parts[first].at(-1);
    if (kind === "c") return columns[second];
    if (kind === "l") return cellName(first);
    return kind === "p" ? projects[first].title : text;
  };
  const contextOf = (id) => {
    const { kind, first } = split(id);
    if (kind === "t") return schemaOf(first);
    if (kind === "c") return tables[first];
    if (kind === "l") return projects[cells[first][0]].title;
    return kind === "p" ? `${ownerOf(first)} · ${projects[first].state}` : "";
  };
  const day = (seconds) =>
    seconds ? new Date(seconds * 1000).toISOString().slice(0, 10) : "never";
  const count = (number) => number.toLocaleString("en");
  const some = (number, kind) => `${count(number)} ${number === 1 ? KINDS[kind] : PLURALS[kind]}`;
  const distinct = (rows, place) => new Set(rows.map((edge) => edge[place])).size;

  // ---- addresses: the fragment names the focus, so that links and the back button work

  const hrefOf = (id) => {
    const { kind, first, second, text } = split(id);
    const to = new URLSearchParams();
    if (kind === "t" || kind === "c") to.set("table", tables[first]);
    if (kind === "c") to.set("column", columns[second]);
    if (kind === "p") to.set("project", projects[first].id);
    if (kind === "l") {
      to.set("project", projects[cells[first][0]].id);
      to.set("cell", cells[first][1]);
    }
    if (kind === "s") to.set("schema", text);
    if (kind === "o") to.set("owner", text);
    return `#${to}`;
  };
  const idAt = (fragment) => {
    const to = new URLSearchParams(fragment.slice(1).replaceAll("+", "%20"));
    if (to.has("table")) {
      const table = tables.indexOf(to.get("table"));
      const column = columns.indexOf(to.get("column"));
      if (table < 0) return null;
      return column < 0 ? `t|${table}` : `c|${table}|${column}`;
    }
    if (to.has("project")) {
      const project = projects.findIndex((one) => one.id === to.get("project"));
      const cell = cells.findIndex((one) => one[0] === project && one[1] === to.get("cell"));
      if (project < 0) return null;
      return cell < 0 ? `p|${project}` : `l|${cell}`;
    }
    if (to.has("schema")) return `s|${to.get("schema")}`;
    return to.has("owner") ? `o|${to.get("owner")}` : null;
  };

  // ---- filters

  const filled = (select, values) => {
    for (const [value, label] of values) select.append(new Option(label, value));
    return select;
  };
  const sorted = (values) => [...new Set(values.filter(Boolean))].sort((a, b) =>
    a.localeCompare(b));
  const same = (values) => values.map((value) => [value, value]);
  filled($("owner"), same([...sorted(projects.map((one) => one.owner)), NOBODY]));
  filled($("status"), [["health:failing", "failing"], ["health:stale", "stale"],
    ["unused", "unused"], ...sorted(projects.map((one) => one.state)).map((one) =>
      [`state:${one}`, one])]);
  const own = sorted(projects.map((one) => one.status));
  if (own.length) {
    const group = document.createElement("optgroup");
    group.label = "in Hex";
    $("status").append(filled(group, own.map((one) => [`status:${one}`, one])));
  }
  filled($("evidence"), data.evidence.map((name, place) => [place, name.replaceAll("_", " ")]));
  filled($("workspace"), same(data.workspaces));
  $("workspace-filter").hidden = data.workspaces.length < 2;

  let passing = [];
  let readers = new Map();
  const applyFilters = () => {
    const [owner, status, evidence, workspace] = ["owner", "status", "evidence", "workspace"]
      .map((id) => $(id).value);
    const at = status.indexOf(":");
    const [field, wanted] = at < 0 ? [status, true] : [status.slice(0, at), status.slice(at + 1)];
    passing = projects.map((one) => (!owner || (one.owner || NOBODY) === owner)
      && (!status || (field === "unused" ? Boolean(one.unused) : one[field] === wanted))
      && (!workspace || one.workspace === workspace));
    const bit = evidence === "" ? -1 : 1 << Number(evidence);
    passes = (edge) => passing[edge[PROJECT]] && (edge[EVIDENCE] & bit) !== 0;
    filtered = Boolean(owner || status || workspace || evidence !== "");
    readers = new Map();
    for (const [table, rows] of byTable)
      readers.set(table, distinct(rows.filter(passes), PROJECT));
  };
  let passes = () => true;
  let filtered = false;

  // ---- search

  const lower = (texts) => texts.map((text) => text.toLowerCase());
  const [tableTexts, columnTexts] = [lower(tables), lower(columns)];
  const projectTexts = lower(projects.map((one) => `${one.title} ${one.id}`));
  const cellTexts = lower(cells.map((one) => `${one[2] || ""} ${one[1]}`));
  const columnPairs = [...byTable].flatMap(([table, rows]) =>
    [...columnsOf(rows).keys()].map((column) => [table, column]));

  const score = (name, text, wanted) => {
    const place = name.indexOf(wanted);
    if (place < 0) return text.includes(wanted) ? 1 : 0;
    return name === wanted ? 4 : place === 0 ? 3 : 2;
  };
  const search = (query) => {
    const wanted = query.trim().toLowerCase();
    const found = [];
    const add = (id, points, weight) => { if (points) found.push([id, points, weight]); };
    tables.forEach((_, table) => {
      const read = readers.get(table) || 0;
      if (filtered && !read) return;
      if (wanted || read)
        add(`t|${table}`, score(parts[table].at(-1).toLowerCase(), tableTexts[table], wanted), read);
    });
    projects.forEach((one, project) => {
      if (!passing[project] || (!wanted && !filtered)) return;
      add(`p|${project}`, score(one.title.toLowerCase(), projectTexts[project], wanted),
        one.views || 0);
    });
    if (wanted) {
      const dotted = wanted.includes(".");
      for (const [table, column] of columnPairs) {
        if (filtered && !readers.get(table)) continue;
        const text = dotted ? `${tableTexts[table]}.${columnTexts[column]}` : columnTexts[column];
        add(`c|${table}|${column}`, score(columnTexts[column], text, wanted) * .9,
          readers.get(table) || 0);
      }
      cellTexts.forEach((text, cell) => {
        if (passing[cells[cell][0]]) add(`l|${cell}`, score(text, text, wanted) * .8, 0);
      });
    }
    return found.sort((a, b) => b[1] - a[1] || b[2] - a[2]).map(([id]) => id);
  };

  let results = [];
  let active = -1;
  const activate = (place) => {
    const items = $("results").children;
    if (items[active]) items[active].ariaSelected = "false";
    active = Math.max(-1, Math.min(place, items.length - 1));
    if (active < 0) return $("search").removeAttribute("aria-activedescendant");
    items[active].ariaSelected = "true";
    items[active].scrollIntoView({ block: "nearest" });
    $("search").setAttribute("aria-activedescendant", items[active].id);
  };
  const amount = (id) => {
    const { kind, first } = split(id);
    if (kind === "t") return count(readers.get(first) || 0);
    return kind === "p" && projects[first].views ? `${count(projects[first].views)} views` : "";
  };
  const showResults = () => {
    results = search($("search").value);
    $("results").replaceChildren(...results.slice(0, SHOWN).map((id, place) => element("li", {
      className: KINDS[id[0]], role: "option", id: `result-${place}`, ariaSelected: "false",
      title: `${KINDS[id[0]]}: ${nameOf(id)}`, onclick: () => go(id),
    }, element("b", {}, nameOf(id)), element("i", {}, amount(id)),
      element("span", {}, contextOf(id)))));
    active = -1;
    $("search").removeAttribute("aria-activedescendant");
    const what = $("search").value.trim() || filtered ? "found" : "most-read tables";
    $("result-count").textContent = results.length > SHOWN
      ? `${count(results.length)} ${what}, the first ${SHOWN} shown` : `${results.length} ${what}`;
  };

  // ---- from a focus to what is drawn

  const view = { focus: null, expanded: [], limit: DRAWN };

  const lines = (id, level, only) => {
    /* The chain of nodes for each read: table, column, cell, project, down to the level. */
    const chain = (edge) => {
      const ends = level >= 2 && edge[CELL] >= 0 ? [`l|${edge[CELL]}`] : [];
      ends.push(`p|${edge[PROJECT]}`);
      const start = `t|${edge[TABLE]}`;
      if (level < 3 || !edge[READ].length) return [[start, ...ends]];
      const chains = [];
      for (let at = 0; at < edge[READ].length; at += 2)
        if (only === undefined || edge[READ][at] === only)
          chains.push([start, `c|${edge[TABLE]}|${edge[READ][at]}`, ...ends]);
      return chains;
    };
    return edgesOf(id).filter(passes).sort((a, b) => b[RUNS] - a[RUNS]).map((edge) =>
      ({ edge, chains: chain(edge) }));
  };
  const assemble = (level) => {
    const nodes = new Set([view.focus]);
    const links = new Map();
    const hidden = new Set();
    for (const id of view.expanded) {
      const { kind, second } = split(id);
      for (const { edge, chains } of lines(id, level, kind === "c" ? second : undefined)) {
        const fresh = new Set(chains.flat().filter((one) => !nodes.has(one)));
        if (nodes.size + fresh.size > view.limit && nodes.size > 1) {
          hidden.add(`${edge[PROJECT]} ${edge[TABLE]} ${edge[CELL]}`);
          continue;
        }
        fresh.forEach((one) => nodes.add(one));
        for (const chain of chains)
          for (let at = 1; at < chain.length; at++)
            links.set(`${chain[at - 1]} ${chain[at]}`, [chain[at - 1], chain[at]]);
      }
    }
    const drawn = [...links.values()].filter(([from, to]) => {
      /* Evidence that names no cell adds nothing beside a line through a cell of the project. */
      const through = ([one, cell]) => one === from && cell[0] === "l" && links.has(`${cell} ${to}`);
      return to[0] !== "p" || from[0] === "l" || ![...links.values()].some(through);
    });
    return { nodes, links: drawn.map((ends) => [...ends, 1]), hidden: hidden.size };
  };
  const neighbourhood = () => {
    const chosen = $("level").value;
    const least = Math.max(...view.expanded.map((id) => ({ c: 3, l: 2 })[id[0]] || 1));
    if (chosen !== "auto") return assemble(Math.max(Number(chosen), least));
    for (const level of [3, 2]) {
      const drawn = assemble(level);
      if (level === least || (!drawn.hidden && drawn.nodes.size <= DRAWN * .7)) return drawn;
    }
    return assemble(Math.max(1, least));
  };
  const overview = () => {
    const weights = new Map();
    const totals = { s: new Map(), o: new Map() };
    const raise = (map, key) => map.set(key, (map.get(key) || 0) + 1);
    for (const edge of edges) {
      if (!passes(edge)) continue;
      const [schema, owner] = [schemaOf(edge[TABLE]), ownerOf(edge[PROJECT])];
      raise(totals.s, schema);
      raise(totals.o, owner);
      raise(weights, `s|${schema}\no|${owner}`);
    }
    const most = (kind) => new Set([...totals[kind]].sort((a, b) => b[1] - a[1])
      .slice(0, GROUPS).map(([key]) => `${kind}|${key}`));
    const nodes = new Set([...most("s"), ...most("o")]);
    const links = [...weights].map(([ends, weight]) => [...ends.split("\n"), weight])
      .filter(([from, to]) => nodes.has(from) && nodes.has(to));
    const all = totals.s.size + totals.o.size;
    return { nodes, links, hidden: 0, words: all > nodes.size
      ? `The ${GROUPS} most-read schemas of ${totals.s.size} and the ${GROUPS} owners with the `
        + `most reads of ${totals.o.size}` : "Schemas, and the owners of the projects that read them" };
  };

  // ---- drawing

  const shortened = (text, length) => text.length > length ? `${text.slice(0, length - 1)}…` : text;
  const SIZES = { t: [186, 44, 25], c: [146, 28, 19], l: [164, 30, 21], p: [196, 44, 26],
    s: [210, 44, 28], o: [210, 44, 28] }; // width, height, letters that fit
  const labelOf = (id) => {
    const { kind, first } = split(id);
    const length = SIZES[kind][2];
    const name = shortened(nameOf(id), length);
    if (kind === "p") {
      const { health } = projects[first];
      const [owner] = ownerOf(first).split("@");
      const under = health === "well" ? owner : `${health} · ${owner}`;
      return `${name}\n${shortened(under, length + 4)}`;
    }
    if (kind === "s") return `${name}\n${some(distinct(edgesOf(id).filter(passes), TABLE), "t")}`;
    if (kind === "o") return `${name}\n${some(distinct(edgesOf(id).filter(passes), PROJECT), "p")}`;
    return kind === "t" ? `${name}\n${shortened(schemaOf(first), length + 4)}` : name;
  };
  const palette = () => {
    const probe = document.body.appendChild(document.createElement("i"));
    const color = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const names = ["surface", "ink", "quiet", "table", "column", "cell", "project", "failing",
      "stale"];
    const colors = Object.fromEntries(names.map((name) => [name, color(name)]));
    probe.remove();
    return colors;
  };
  const tinted = (color, ground) => {
    /* Opaque, so that no line shows through a node. */
    const [strong, plain] = [color, ground].map((one) => one.match(/[\d.]+/g).map(Number));
    return `rgb(${plain.map((part, at) => Math.round(part * .88 + strong[at] * .12)).join()})`;
  };
  const style = () => {
    const colors = palette();
    const kinds = { t: "table", c: "column", l: "cell", p: "project", s: "table", o: "project" };
    const filledIn = (kind) => ({ "background-color": colors[kinds[kind]],
      color: colors.surface });
    return [
      { selector: "node", style: {
        shape: "round-rectangle", width: "data(width)", height: "data(height)",
        label: "data(label)", "text-wrap": "wrap", "text-valign": "center",
        "font-family": "system-ui, sans-serif", "font-size": 13, "line-height": 1.25,
        color: colors.ink, "border-width": 1.5 } },
      ...Object.entries(kinds).flatMap(([kind, name]) => [
        { selector: `node[kind = "${kind}"]`, style: { "border-color": colors[name],
          "background-color": tinted(colors[name], colors.surface) } },
        { selector: `node[kind = "${kind}"].focus`, style: filledIn(kind) },
      ]),
      { selector: "node[health = 'failing']", style: { "border-color": colors.failing,
        "border-style": "double", "border-width": 4 } },
      { selector: "node[health = 'stale']", style: { "border-color": colors.stale,
        "border-style": "dashed", "border-width": 2.5 } },
      { selector: "node:selected", style: { "border-width": 4, "border-style": "solid" } },
      { selector: "edge", style: {
        width: "data(width)", "line-color": colors.quiet, "line-opacity": .38,
        "curve-style": "unbundled-bezier", "edge-distances": "endpoints",
        "source-endpoint": "90deg", "target-endpoint": "270deg",
        "control-point-weights": "data(weights)",
        "control-point-distances": "data(distances)" } },
      { selector: "edge.near", style: { "line-color": colors.ink, "line-opacity": .75 } },
      { selector: ".far", style: { opacity: .28 } },
    ];
  };
  const cy = cytoscape({ container: $("graph"), style: style(), minZoom: .15, maxZoom: 2.5,
    boxSelectionEnabled: false, autoungrabify: true });

  const curved = (edge) => {
    /* Control points of a curve that leaves and arrives level, as Cytoscape wants them: along
       the line between the ends, and off it. */
    const [from, to] = [edge.source(), edge.target()];
    const start = { x: from.position("x") + from.data("width") / 2, y: from.position("y") };
    const [dx, dy] = [to.position("x") - to.data("width") / 2 - start.x, to.position("y") - start.y];
    const length = Math.hypot(dx, dy) || 1;
    const along = (dx * dx / 2) / (length * length);
    const off = (dx / 2) * dy / length;
    edge.data({ weights: [along, 1 - along], distances: [-off, off] });
  };
  const compact = () => {
    /* Dagre tells the ranks and the order in each. It leaves gaps between the nodes of a rank,
       which makes text small, and ranks close together, though the window is wide. */
    const ranks = new Map();
    cy.nodes().sort((a, b) => a.position("y") - b.position("y")).forEach((node) => {
      const x = Math.round(node.position("x"));
      ranks.set(x, [...(ranks.get(x) || []), node]);
    });
    const tall = (nodes) => nodes.reduce((sum, node) => sum + node.data("height") + GAP, 0);
    const inOrder = [...ranks].sort(([a], [b]) => a - b).map(([, nodes]) => nodes);
    const height = Math.max(...inOrder.map(tall), 0);
    const width = inOrder.reduce((sum, nodes) => sum + nodes[0].data("width"), 0);
    const free = height * cy.width() / cy.height() - width;
    const apart = Math.min(260, Math.max(64, free / Math.max(1, inOrder.length - 1)));
    let x = 0;
    for (const nodes of inOrder) {
      let y = -tall(nodes) / 2;
      for (const node of nodes) {
        node.position({ x: x + nodes[0].data("width") / 2, y: y + node.data("height") / 2 });
        y += node.data("height") + GAP;
      }
      x += nodes[0].data("width") + apart;
    }
  };
  const draw = () => {
    const { nodes, links, hidden, words } = view.focus && !"so".includes(view.focus[0])
      ? neighbourhood() : overview();
    cy.elements().remove();
    const [widest] = links.reduce(([most], link) => [Math.max(most, link[2])], [1]);
    cy.add([
      ...[...nodes].map((id) => {
        const [kind, [width, height]] = [id[0], SIZES[id[0]]];
        const health = kind === "p" ? projects[split(id).first].health : "well";
        return { data: { id, kind, width, height, health, label: labelOf(id) },
          classes: id === view.focus ? "focus" : "" };
      }),
      ...links.map(([source, target, weight]) => ({ data: { source, target,
        width: 1.5 + 5 * (weight - 1) / widest, weights: [.5], distances: [0] } })),
    ]);
    const rank = (end) => "tclp".indexOf(end.data("kind"));
    cy.layout({ name: "dagre", rankDir: "LR", nodeSep: 12, rankSep: 90, fit: false,
      animate: false, minLen: (edge) => Math.max(1, rank(edge.target()) - rank(edge.source())),
    }).run();
    compact();
    cy.edges().forEach(curved);
    fit();
    const amounts = Object.keys(KINDS).map((kind) =>
      [kind, [...nodes].filter((id) => id[0] === kind).length]).filter(([, n]) => n);
    $("view-status").replaceChildren(words
      || `Drawn: ${amounts.map(([kind, number]) => some(number, kind)).join(", ")}`);
    if (hidden) {
      const more = element("button", { type: "button", onclick: () => {
        view.limit += DRAWN;
        draw();
      } }, "Draw more");
      $("view-status").append(`; ${count(hidden)} more reads are not drawn`, more);
    }
    $("view-title").textContent = view.focus
      ? `${KINDS[view.focus[0]]} ${nameOf(view.focus)}` : "Who reads what";
    $("level").disabled = !view.focus;
    select(view.focus);
  };
  const fit = () => {
    cy.resize();
    cy.fit(undefined, 28);
    if (cy.zoom() > 1.15) cy.zoom(1.15);
    if (cy.zoom() >= .5) return cy.center();
    cy.zoom(.5);
    const focus = view.focus ? cy.getElementById(view.focus) : cy.nodes();
    cy.center(focus.nonempty() ? focus : undefined);
    const box = cy.elements().renderedBoundingBox();
    if (box.w < cy.width()) cy.panBy({ x: (cy.width() - box.w) / 2 - box.x1, y: 0 });
  };
  const select = (id) => {
    const node = id ? cy.getElementById(id) : cy.collection();
    cy.nodes().unselect();
    cy.elements().removeClass("near far");
    if (node.nonempty()) {
      node.select();
      const near = node.union(node.predecessors()).union(node.successors());
      if (id !== view.focus || "so".includes(id[0])) {
        cy.elements().difference(near).addClass("far");
        near.edges().addClass("near");
      }
    }
    showDetails(id);
  };

  // ---- details: what the picture says, in words, for those who do not see it too

  const element = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children.filter((child) => child !== null && child !== ""));
    return made;
  };
  const link = (id) => element("a", { href: hrefOf(id) }, nameOf(id));
  const list = (title, ids, note) => {
    if (!ids.length) return "";
    const items = ids.slice(0, LISTED).map((id) => {
      const words = note(id);
      return element("li", {}, link(id), words ? element("span", {}, ` ${words}`) : "");
    });
    const left = ids.length - items.length;
    if (left > 0) items.push(element("li", {}, element("span", {}, `and ${count(left)} more`)));
    return element("div", {}, element("h4", {}, `${title} (${count(ids.length)})`),
      element("ul", {}, ...items));
  };
  const facts = (pairs) => element("dl", {}, ...pairs.filter(([, value]) => value)
    .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const ids = (kind, rows, place) =>
    [...new Set(rows.map((edge) => edge[place]))].filter((one) => one >= 0).map((one) =>
      `${kind}|${one}`);
  const busiest = (kind, rows, place) => {
    const runs = new Map();
    for (const edge of rows) runs.set(edge[place], (runs.get(edge[place]) || 0) + edge[RUNS]);
    return ids(kind, rows, place).sort((a, b) => runs.get(split(b).first) - runs.get(split(a).first));
  };
  const common = (rows) => [
    ["executions", rows.length ? count(rows.reduce((sum, edge) => sum + edge[RUNS], 0)) : ""],
    ["last read", rows.length ? day(Math.max(...rows.map((edge) => edge[SEEN]))) : ""],
    ["evidence", data.evidence.filter((_, place) => rows.some((edge) =>
      edge[EVIDENCE] & (1 << place))).map((name) => name.replaceAll("_", " ")).join(", ")],
    ["through", [...new Set(rows.map((edge) => edge[COMPONENT]))].filter((one) => one >= 0)
      .map((one) => data.components[one]).join(", ")],
  ];
  const projectNote = (id) => {
    const one = projects[split(id).first];
    return [one.state === "published" ? "" : one.state, one.health === "well" ? "" : one.health,
      one.owner || NOBODY].filter(Boolean).join(" · ");
  };
  const usedAs = (rows, column) => (id) => {
    const mine = rows.filter((edge) => `p|${edge[PROJECT]}` === id || `l|${edge[CELL]}` === id);
    const words = uses(mine.reduce((bits, edge) => bits | Math.max(0, usageOf(edge, column)), 0));
    return [words, id[0] === "p" ? projectNote(id) : ""].filter(Boolean).join(" · ");
  };
  const columnList = (rows, table) => {
    const read = columnsOf(rows.filter((edge) => edge[TABLE] === table));
    return [[...read.keys()].sort((a, b) => columns[a].localeCompare(columns[b]))
      .map((column) => `c|${table}|${column}`), (id) => uses(read.get(split(id).second))];
  };
  const schemasRead = (rows) => sorted(rows.map((edge) => schemaOf(edge[TABLE]))).join(", ");
  const DETAILS = {
    t: (id, table, _, rows) => [facts(common(rows)),
      list("Read by", busiest("p", rows, PROJECT), projectNote),
      list("Columns read", ...columnList(rows, table)),
      rows.length ? "" : element("p", {}, filtered
        ? "No project that the filters let through reads it." : "No project is known to read it.")],
    c: (id, table, column, rows) => [element("p", {}, link(`t|${table}`)), facts(common(rows)),
      list("Read by", busiest("p", rows, PROJECT), usedAs(rows, column)),
      list("In cells", busiest("l", rows, CELL), usedAs(rows, column))],
    l: (id, cell, _, rows) => [element("p", {}, link(`p|${cells[cell][0]}`)), facts(common(rows)),
      ...ids("t", rows, TABLE).map((table) => element("div", {},
        element("h4", {}, link(table)),
        list("Columns", ...columnList(rows, split(table).first))))],
    p: (id, project, _, rows) => {
      const one = projects[project];
      return [
        one.url ? element("p", {}, element("a", { href: one.url, target: "_blank",
          rel: "noopener noreferrer" }, "Open in Hex ↗")) : "",
        one.problem ? element("p", { className: one.health }, `${one.health}: ${one.problem}`) : "",
        facts([["state", one.state], ["status", one.status], ["owner", one.owner || NOBODY],
          ["workspace", data.workspaces.length > 1 ? one.workspace : ""],
          ["schedule", one.schedules], ["latest run", one.run && `${one.run}, ${day(one.runAt)}`],
          ["views, 30 d", one.views ? count(one.views) : "none"], ["last view", day(one.viewed)],
          ...common(rows)]),
        list("Reads", busiest("t", rows, TABLE), (table) => schemaOf(split(table).first)),
        list("Cells that read", busiest("l", rows, CELL), () => "")];
    },
    s: (id, a, b, rows) => [facts(common(rows)),
      list("Tables", busiest("t", rows, TABLE).sort((x, y) =>
        readers.get(split(y).first) - readers.get(split(x).first)),
      (table) => some(readers.get(split(table).first), "p"))],
    o: (id, a, b, rows) => [list("Projects", busiest("p", rows, PROJECT), (project) =>
      schemasRead(rows.filter((edge) => `p|${edge[PROJECT]}` === project)))],
  };
  const showDetails = (id) => {
    if (!id) {
      return $("details").replaceChildren(element("h3", {}, "Where to begin"),
        element("p", {}, "Search for a table, column, cell or project, or choose one of the "
          + "most-read tables on the left. In the graph, a click tells about a node, a double "
          + "click puts it in the middle."),
        facts([["/", "search"], ["↑ ↓ Enter", "choose a result"], ["Esc", "clear, then overview"],
          ["arrow keys", "move in the graph"], ["Enter", "focus the node"],
          ["E", "expand the node"]]));
    }
    const { kind, first, second } = split(id);
    const rows = edgesOf(id).filter(passes);
    const buttons = [];
    if (id !== view.focus) buttons.push(["Focus", () => go(id)]);
    if (!"so".includes(kind) && !view.expanded.includes(id))
      buttons.push(["Expand", () => expand(id)]);
    if (kind === "o") buttons.push(["Filter by this owner", () => {
      $("owner").value = nameOf(id);
      refresh();
    }]);
    $("details").scrollTop = 0;
    $("details").className = KINDS[kind];
    return $("details").replaceChildren(
      element("p", { className: "what" }, kind === "p"
        ? projects[first].type.toLowerCase() : KINDS[kind]),
      element("h3", {}, nameOf(id)),
      kind === "t" || kind === "c" ? element("p", { className: "path" }, tables[first]) : "",
      element("div", { className: "buttons" }, ...buttons.map(([name, onclick]) =>
        element("button", { type: "button", onclick }, name))),
      ...DETAILS[kind](id, first, second, rows).filter(Boolean));
  };

  // ---- moving about

  const go = (id) => {
    const to = id ? hrefOf(id) : "#";
    if (location.hash === to) arrive();
    else location.hash = to;
  };
  const arrive = () => {
    const id = idAt(location.hash);
    if (location.hash.length > 1 && !location.hash.includes("=")) return;
    const workspace = new URLSearchParams(location.hash.slice(1)).get("workspace");
    if (data.workspaces.includes(workspace) && $("workspace").value !== workspace) {
      $("workspace").value = workspace;
      applyFilters();
      showResults();
    }
    view.focus = id;
    view.expanded = id ? [id] : [];
    view.limit = DRAWN;
    draw();
    if (id) {
      const place = $("explore").getBoundingClientRect();
      if (place.bottom < 200 || place.top > innerHeight - 200) $("explore").scrollIntoView();
    }
  };
  const expand = (id) => {
    if (view.expanded.includes(id)) return;
    if (!view.focus || "so".includes(view.focus[0])) return go(id);
    view.expanded.push(id);
    view.limit += DRAWN;
    draw();
    select(id);
  };
  const refresh = () => {
    applyFilters();
    showResults();
    draw();
  };
  const nearest = (from, key) => {
    const [x, y] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
    let [best, least] = [null, Infinity];
    cy.nodes().forEach((node) => {
      const [dx, dy] = [node.position("x") - from.position("x"), node.position("y") - from.position("y")];
      const [ahead, aside] = [dx * x + dy * y, Math.abs(dx * y) + Math.abs(dy * x)];
      if (ahead > 5 && ahead + 2 * aside < least) [best, least] = [node, ahead + 2 * aside];
    });
    return best;
  };

  cy.on("tap", "node", (event) => select(event.target.id()));
  cy.on("dbltap", "node", (event) => go(event.target.id()));
  cy.on("tap", (event) => { if (event.target === cy) select(view.focus); });
  $("graph").addEventListener("keydown", (event) => {
    const chosen = cy.$("node:selected");
    const from = chosen.nonempty() ? chosen[0] : cy.nodes()[0];
    if (!from || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) {
      const to = chosen.nonempty() ? nearest(from, event.key) : from;
      if (to) {
        select(to.id());
        const box = to.renderedBoundingBox();
        if (box.x1 < 0 || box.y1 < 0 || box.x2 > cy.width() || box.y2 > cy.height()) cy.center(to);
      }
    } else if (event.key === "Enter") go(from.id());
    else if (event.key === "e") expand(from.id());
    else return;
    event.preventDefault();
  });
  $("search").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) activate(active + step);
    else if (event.key === "Enter") {
      const id = results[Math.max(active, 0)];
      if (id) go(id);
    } else return;
    event.preventDefault();
  });
  $("search").addEventListener("input", showResults);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      $("search").focus();
      $("search").select();
    } else if (event.key === "Escape") {
      if ($("search").value) {
        $("search").value = "";
        showResults();
      } else if (view.focus) go(null);
    }
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("change", (event) => { if (event.target.id !== "search") refresh(); });
  $("filters").addEventListener("reset", () => setTimeout(refresh));
  $("level").addEventListener("change", () => { view.limit = DRAWN; draw(); });
  $("overview").addEventListener("click", () => go(null));
  $("fit").addEventListener("click", fit);
  const zoom = (factor) => cy.zoom({ level: cy.zoom() * factor,
    renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  $("zoom-in").addEventListener("click", () => zoom(1.25));
  $("zoom-out").addEventListener("click", () => zoom(.8));
  $("skip").addEventListener("click", (event) => {
    event.preventDefault();
    $("search").focus();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cy.style(style()));
  addEventListener("hashchange", arrive);
  addEventListener("resize", () => cy.resize());

  applyFilters();
  showResults();
  arrive();
})();
