// Entity paths as a tree for keyboards and screen readers.

import { named } from "./printable.js";
import { countText } from "./times.js";

/** Parts of a path; a slash after a backslash belongs to the name. */
const partsOf = (path) => path.match(/(?:\\.|[^/\\])+/g) ?? [];

function nest(entities) {
  const root = { name: "/", path: "/", entity: null, children: new Map() };
  for (const entity of entities) {
    let node = root;
    let path = "";
    for (const part of partsOf(entity.path)) {
      path += `/${part}`;
      if (!node.children.has(part)) {
        node.children.set(part, { name: part, path, entity: null, children: new Map() });
      }
      node = node.children.get(part);
    }
    node.entity = entity;
  }
  return root;
}

export class Tree {
  constructor(element, onPick) {
    this.element = element;
    this.onPick = onPick;
    this.closed = new Set();
    this.selected = null;
    element.addEventListener("click", ({ target }) => {
      const item = target.closest("[data-path]");
      if (!item) return;
      if (target.closest(".twist")) this.#toggle(item.dataset.path);
      else this.pick(item.dataset.path);
    });
    element.addEventListener("keydown", (event) => this.#key(event));
  }

  show(entities, selected) {
    this.entities = entities;
    this.selected = selected;
    const items = [];
    const walk = (node, depth) => {
      if (depth > 0) items.push(this.#item(node, depth));
      if (!this.closed.has(node.path)) for (const child of node.children.values()) walk(child, depth + 1);
    };
    walk(nest(entities), 0);
    // Every second while a recording loads: most often the tree is the same.
    const old = [...this.element.children];
    if (old.length !== items.length) this.element.replaceChildren(...items);
    else items.forEach((item, i) => { if (!item.isEqualNode(old[i])) old[i].replaceWith(item); });
    // The tree has the focus; its active item is marked separately.
    const at = items.find((item) => item.dataset.path === selected);
    if (at) this.element.setAttribute("aria-activedescendant", at.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  pick(path) {
    this.show(this.entities, path);
    this.onPick(path);
  }

  #item(node, depth) {
    const item = document.createElement("div");
    item.setAttribute("role", "treeitem");
    item.setAttribute("aria-level", depth);
    item.setAttribute("aria-selected", node.path === this.selected);
    item.dataset.path = node.path;
    item.id = `entity:${node.path}`;
    item.style.setProperty("--depth", depth);
    const twist = document.createElement("span");
    twist.className = "twist";
    if (node.children.size) {
      item.setAttribute("aria-expanded", !this.closed.has(node.path));
      twist.textContent = this.closed.has(node.path) ? "▸" : "▾";
    }
    const name = document.createElement("span");
    name.textContent = named(node.name);
    const rows = document.createElement("small");
    rows.textContent = node.entity ? countText(node.entity.rows, "row") : "";
    item.append(twist, name, rows);
    return item;
  }

  #toggle(path) {
    if (!this.closed.delete(path)) this.closed.add(path);
    this.show(this.entities, this.selected);
  }

  #key(event) {
    const items = [...this.element.querySelectorAll("[data-path]")];
    const at = items.findIndex((item) => item.dataset.path === this.selected);
    const path = items[at]?.dataset.path;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && items[at + step]) this.pick(items[at + step].dataset.path);
    else if (event.key === "ArrowLeft" && path && !this.closed.has(path)) this.#toggle(path);
    else if (event.key === "ArrowRight" && path && this.closed.has(path)) this.#toggle(path);
    else return;
    event.preventDefault();
  }
}
