'use strict';
for (const b of document.querySelectorAll('button[data-copy]')) {
  if (!navigator.clipboard) continue;
  b.hidden = false;
  b.addEventListener('click', async () => {
    const said = b.textContent;
    try {
      await navigator.clipboard.writeText(b.parentElement.querySelector('code').textContent);
      b.textContent = 'Copied';
    } catch {
      b.textContent = 'Not possible here';
    }
    setTimeout(() => { b.textContent = said; }, 2000);
  });
}
const find = document.getElementById('find');
if (find) {
  find.closest('.find').hidden = false;
  const shown = document.getElementById('shown');
  find.addEventListener('input', () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const g of document.querySelectorAll('#findings .group')) {
      let any = false;
      for (const a of g.querySelectorAll('article')) {
        const text = (g.dataset.field + ' ' + a.textContent).toLowerCase();
        a.hidden = !words.every((w) => text.includes(w));
        if (!a.hidden) { any = true; n++; }
      }
      g.hidden = !any;
    }
    shown.textContent = words.length ? n + ' shown' : '';
  });
}
for (const box of document.querySelectorAll('[data-heat]')) {
  const svg = box.querySelector('svg.heat'), out = box.querySelector('output'), cursor = svg.querySelector('.cursor');
  const { names, least } = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  const left = +svg.dataset.left, size = +svg.dataset.size;
  let row = 1, col = 0;
  const show = () => {
    row = Math.max(1, Math.min(names.length - 1, row));
    col = Math.max(0, Math.min(row - 1, col));
    cursor.setAttribute('x', left + col * size);
    cursor.setAttribute('y', row * size);
    cursor.removeAttribute('visibility');
    const n = least[row][col];
    out.textContent = names[row] + ' × ' + names[col] + ': ' + (n < 0 ? 'do not go together' : n === 0 ? 'a feasible pair of values was in no case' : 'each pair of values in at least ' + n + (n === 1 ? ' case' : ' cases'));
  };
  svg.addEventListener('pointermove', (e) => {
    const p = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const c = Math.floor((p.x - left) / size), r = Math.floor(p.y / size);
    if (c >= 0 && c < r && r < names.length) { row = r; col = c; show(); }
  });
  svg.addEventListener('keydown', (e) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    if (!move) return;
    e.preventDefault();
    row += move[0];
    col += move[1];
    show();
  });
  svg.addEventListener('focus', show);
}
