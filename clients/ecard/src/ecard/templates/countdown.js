// Counts the seconds that a code has left, and asks for a fresh one a little before the end.
(function () {
  var place = document.getElementById("seconds");
  var end = Date.now() + 1000 * Number(place.dataset.seconds);
  function tick() {
    var left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    place.textContent = String(left);
    if (left <= 8) { window.location.replace(window.location.pathname); return; }
    window.setTimeout(tick, 250);
  }
  tick();
})();
