const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export const escape = (text) => String(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);

export const euros = (cents) => (cents === null ? "price on request" : `${(cents / 100).toFixed(2)} €`);

export function page({ products, neighbours }) {
  const goods = products.map(({ name, cents }) => `<tr><td>${escape(name)}</td><td>${euros(cents)}</td></tr>`);
  const releases = Object.entries(neighbours).map(
    ([name, version]) => `<li>${escape(name)}: ${version === null ? "away" : escape(version)}</li>`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Harbour shop</title>
<style>body { font: 1rem/1.5 system-ui; max-width: 40rem; margin: 2rem auto } td { padding-right: 2rem }</style>
<h1>Harbour shop</h1>
${goods.length > 0 ? `<table>${goods.join("")}</table>` : "<p>The shelves are being filled.</p>"}
<h2>Behind the counter</h2>
<ul>${releases.join("")}</ul>
</html>
`;
}
