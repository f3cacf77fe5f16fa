/** Light, dark, or as the system wants it. The choice is kept in this browser. */

import { byId, setText } from "./elements.js";
import { remember } from "./preferences.js";

const THEMES = ["system", "light", "dark"];

/** Let the button of the page change the theme. */
export function setUpTheme() {
  const button = byId("theme");
  let theme = document.documentElement.dataset.theme ?? "system";
  const show = () => {
    setText(byId("theme-name"), theme);
    button.setAttribute("aria-label", `Theme: ${theme}`);
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    if (theme === "system") {
      delete document.documentElement.dataset.theme;
    } else {
      document.documentElement.dataset.theme = theme;
    }
    remember("theme", theme);
    show();
  });
  show();
}
