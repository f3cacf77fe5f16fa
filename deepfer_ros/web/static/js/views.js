/** The views of the page, one of which is shown: the one that the address names. */

import { byId } from "./elements.js";

const NAMES = ["live", "upload"];

/**
 * Show views as the address changes, beginning with the present one.
 * @param {(name: string) => void} onShow
 */
export function setUpViews(onShow) {
  const show = () => {
    const asked = location.hash.slice(1);
    const current = NAMES.includes(asked) ? asked : NAMES[0];
    for (const name of NAMES) {
      byId(name).hidden = name !== current;
    }
    for (const link of document.querySelectorAll("[data-view]")) {
      if (link.getAttribute("data-view") === current) {
        link.setAttribute("aria-current", "page");
      } else {
        link.removeAttribute("aria-current");
      }
    }
    onShow(current);
  };
  window.addEventListener("hashchange", show);
  show();
}
