// Without this script the page shows everything; with it, answers can be searched.
(function () {
  "use strict";
  document.querySelectorAll("[data-answers]").forEach(function (block) {
    var tools = block.querySelector(".tools");
    var words = block.querySelector("input[type=search]");
    var differing = block.querySelector("input[type=checkbox]");
    var shown = block.querySelector("output");
    var rest = block.querySelector("details.rest");
    var samples = Array.from(block.querySelectorAll(".sample"));
    var texts = samples.map(function (sample) { return sample.textContent.toLowerCase(); });
    function update() {
      var wanted = words.value.trim().toLowerCase();
      var isNarrowed = wanted !== "" || (differing !== null && differing.checked);
      var count = 0;
      samples.forEach(function (sample, index) {
        var fits = texts[index].indexOf(wanted) >= 0;
        if (differing !== null && differing.checked) fits = fits && sample.hasAttribute("data-differs");
        sample.hidden = !fits;
        count += fits ? 1 : 0;
      });
      if (rest !== null && isNarrowed) rest.open = true;
      shown.textContent = count + " of " + samples.length + " shown";
    }
    words.addEventListener("input", update);
    if (differing !== null) differing.addEventListener("change", update);
    tools.hidden = false;
    update();
  });
})();
