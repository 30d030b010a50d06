"""A script for the browser: a click on a photo whose next picture is still loading waits for that picture.

Every answer shows the photo anew, with what is marked. Until the browser has the new picture it goes on showing the one
before, but reports a size of zero, from which gradio can tell no place, and drops the click without a word. On a slow
line or a busy machine that was the second corner of a box.
"""

HELD_CLICKS = """<script>
addEventListener("click", (click) => {
  const photo = click.target.closest("#photo .image-frame")?.querySelector("img");
  if (!photo || photo.complete) return;
  click.stopImmediatePropagation();
  const before = photo.getBoundingClientRect();
  photo.addEventListener("load", () => {
    const now = photo.getBoundingClientRect();
    const x = click.clientX + now.left - before.left, y = click.clientY + now.top - before.top;
    click.target.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, clientX: x, clientY: y }));
  }, { once: true });
}, true);
</script>"""
