// Take pictures with the camera of this device.

import { el, fill, say } from "./page_elements.js";

const SIDE = 640;

/** Show the camera in `place`; `take` gets each picture as a file. */
export async function openCamera(place, take) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    say(`No picture from the camera (${error.name}). Allow this page to use it, or choose files.`, true);
    return;
  }
  const video = el("video", { autoplay: true, playsinline: true, muted: true, "aria-label": "Camera" });
  video.srcObject = stream;
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    fill(place);
  };
  let number = 0;
  const shoot = async () => take(await picture(video, ++number));
  fill(place, el("div", { class: "camera" }, video, el("p", { class: "row" },
    el("button", { type: "button", class: "main", onclick: shoot }, "Take a picture"),
    el("button", { type: "button", onclick: close }, "Close the camera"))));
}

async function picture(video, number) {
  const scale = Math.min(1, SIDE / Math.min(video.videoWidth, video.videoHeight));
  const canvas = el("canvas", { width: video.videoWidth * scale, height: video.videoHeight * scale });
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  return new File([blob], `camera ${number}.jpg`, { type: "image/jpeg" });
}
