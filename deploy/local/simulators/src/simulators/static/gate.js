// Fills the gate's form from the camera, in browsers that can read QR codes by themselves. The page works without it.
"use strict";

const LOOK_EVERY_MS = 150;

async function readFromCamera(video, detector) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  video.srcObject = stream;
  video.hidden = false;
  await video.play();
  const looking = setInterval(async () => {
    const found = (await detector.detect(video)).find((code) => code.rawValue.startsWith("OC1:"));
    if (!found) return;
    clearInterval(looking);
    stream.getTracks().forEach((track) => track.stop());
    document.getElementById("code").value = found.rawValue;
    document.getElementById("use").requestSubmit();
  }, LOOK_EVERY_MS);
}

async function offerCamera() {
  if (!("BarcodeDetector" in window) || !navigator.mediaDevices) return;
  if (!(await BarcodeDetector.getSupportedFormats()).includes("qr_code")) return;
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  const offer = document.getElementById("camera");
  offer.hidden = false;
  document.getElementById("look").addEventListener("click", (event) => {
    event.currentTarget.disabled = true;
    readFromCamera(document.getElementById("seen"), detector).catch(() => {
      offer.hidden = true; // No camera, or not allowed: pasting remains.
    });
  });
}

offerCamera();
