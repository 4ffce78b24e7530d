// Counts the seconds that a code has left and asks for a fresh one a little before the end; when this page was left
// lying long enough (no data-next), it lets the code end and takes it off the screen.
(function () {
  var place = document.getElementById("countdown");
  var end = Date.now() + 1000 * Number(place.dataset.seconds);
  place.hidden = false;
  document.getElementById("until").hidden = true;
  function tick() {
    var left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    document.getElementById("seconds").textContent = String(left);
    if (place.dataset.next && left <= 8) { window.location.replace(place.dataset.next); return; }
    if (left === 0) {
      ["qr", "countdown"].forEach(function (name) { document.getElementById(name).hidden = true; });
      document.getElementById("text").value = "";
      document.getElementById("over").hidden = false;
      return;
    }
    window.setTimeout(tick, 250);
  }
  tick();
})();
