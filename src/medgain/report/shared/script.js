addEventListener("beforeprint", function () {
  document.querySelectorAll("details:not([open])").forEach(function (d) {
    d.open = true;
    d.dataset.closed = "1";
  });
});
addEventListener("afterprint", function () {
  document.querySelectorAll("details[data-closed]").forEach(function (d) {
    d.open = false;
    delete d.dataset.closed;
  });
});
