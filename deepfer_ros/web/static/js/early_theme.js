// Runs before the page is drawn, so that a chosen theme does not flash in after the other one.
{
  const theme = localStorage.getItem("deepfer.theme");
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
}
