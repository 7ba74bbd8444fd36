// The pages of productpage. Titles, headings and ids are those that the tutorials look for.
import type { CallResult } from "./http-call.ts";

export interface Part {
  readonly status: number;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Review {
  readonly reviewer: string;
  readonly text: string;
  readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string };
}

export const PRODUCT = {
  id: 0,
  title: "The Comedy of Errors",
  descriptionHtml:
    "One of Shakespeare's first comedies and his shortest: two pairs of twins with the same names meet in one town, and nobody can tell who is who.",
};

export const STYLE = `body{font-family:system-ui,sans-serif;margin:0;color:#1a1a1a;background:#fff}
nav{background:#14213d;color:#fff;padding:.8rem 1.5rem;display:flex;justify-content:space-between;align-items:center}
nav a{color:#fff}main{max-width:60rem;margin:1.5rem auto;padding:0 1.5rem}
.columns{display:grid;grid-template-columns:1fr 1fr;gap:2rem}dt{font-weight:600}blockquote{border-left:3px solid #ccd;margin:1rem 0;padding-left:1rem}
.text-black-500{color:#111}.text-red-500{color:#d11}svg{width:1.2rem;height:1.2rem;fill:currentColor}.note{color:#8a1c1c}`;

export function escapeHtml(text: unknown): string {
  return String(text).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

export function indexPage(tree: {
  readonly name: string;
  readonly url: string;
  readonly children: readonly { name: string; url: string }[];
}): string {
  const items = [tree, ...tree.children].map(({ name, url }) => `<li><code>${escapeHtml(name)}</code> ${escapeHtml(url)}</li>`);
  return layout(
    undefined,
    `<h1>Hello! This is a simple bookstore application consisting of these services</h1><ul>${items.join("")}</ul>
<p><a href="/productpage?u=normal">Normal user</a> <a href="/productpage?u=test">Test user</a></p>`,
  );
}

export function productPage(user: string | undefined, details: Part, reviews: Part): string {
  return layout(
    user,
    `<h1>${escapeHtml(PRODUCT.title)}</h1><p>${escapeHtml(PRODUCT.descriptionHtml)}</p>
<div class="columns"><section>${detailsHtml(details)}</section><section>${reviewsHtml(reviews)}</section></div>`,
  );
}

function layout(user: string | undefined, body: string): string {
  const account =
    user === undefined
      ? `<form method="post" action="/login"><input name="username" placeholder="User name"> <button>Sign in</button></form>`
      : `<span>${escapeHtml(user)} (<a href="/logout">sign out</a>)</span>`;
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Simple Bookstore App</title><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/static/bookinfo.css"></head>
<body><nav><strong>BookInfo Sample</strong>${account}</nav><main>${body}</main></body>
</html>
`;
}

function detailsHtml({ status, value }: Part): string {
  if (status !== 200) {
    return `<h4 class="note">Error fetching product details</h4><p>${escapeHtml(value["error"])}</p>`;
  }
  const rows = [
    ["ISBN-10", "ISBN-10"],
    ["Publisher", "publisher"],
    ["Pages", "pages"],
    ["Type", "type"],
    ["Language", "language"],
  ].map(([label = "", key = ""]) => `<dt>${label}</dt><dd>${escapeHtml(value[key])}</dd>`);
  return `<h4>Book Details</h4><dl>${rows.join("")}</dl>`;
}

function reviewsHtml({ status, value }: Part): string {
  if (status !== 200) {
    return `<h4 class="note">Error fetching product reviews</h4><p>${escapeHtml(value["error"])}</p>`;
  }
  const reviews = (value["reviews"] ?? []) as readonly Review[];
  const cluster = value["clustername"] === "null" ? "" : ` on cluster ${escapeHtml(value["clustername"])}`;
  return `<h4>Book Reviews</h4>${reviews.map(reviewHtml).join("")}
<p>Reviews served by: <u>${escapeHtml(value["podname"])}</u>${cluster}</p>`;
}

function reviewHtml({ reviewer, text, rating }: Review): string {
  return `<blockquote><p>${escapeHtml(text)}</p><small>${escapeHtml(reviewer)}</small>${ratingHtml(rating)}</blockquote>`;
}

const STAR = `<svg id="glyphicon glyphicon-star" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 1.5l3.3 6.9 7.4 1-5.4 5.2 1.4 7.5L12 18.5l-6.7 3.6 1.4-7.5L1.3 9.4l7.4-1z"/></svg>`;

function ratingHtml(rating: Review["rating"]): string {
  if (rating === undefined) return "";
  if (rating.error !== undefined) return `<p><i>${escapeHtml(rating.error)}</i></p>`;
  const stars = Math.max(0, Math.min(5, rating.stars ?? 0));
  return `<div class="text-${escapeHtml(rating.color ?? "black")}-500" aria-label="${stars} of 5 stars">${STAR.repeat(stars)}</div>`;
}

/** An answer of a service as a part of the page; its body must be a JSON object. */
export function partOf({ status, body }: CallResult): Part {
  return { status, value: JSON.parse(body) as Record<string, unknown> };
}
