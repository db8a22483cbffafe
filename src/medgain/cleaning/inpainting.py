"""Fill found pixels in from those around them."""

from __future__ import annotations

import numpy as np

from medgain.cleaning.view import View


def inpaint(image: np.ndarray, view: View, mask: np.ndarray) -> np.ndarray:
    """Return an image with the pixels of `mask` filled in (Telea 2004, Journal of Graphics Tools).

    Args:
        image: stored pixels, uint8 or uint16, (H, W, C).
        view: its view.
        mask: of the view's pixels, bool; it is widened by a pixel (of the view), since a hair's
            edge is lighter than its middle, and not beyond the image into its padding.
    """
    import cv2

    wide = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    top, left, height, width = view.box
    where = view.to_stored(wide > 0, image.shape[:2])[top : top + height, left : left + width]
    part = np.ascontiguousarray(image[top : top + height, left : left + width])
    radius = 3.0 * max(1.0, min(height, width) / view.side)
    holes = np.ascontiguousarray(where.astype(np.uint8))
    # OpenCV fills 8-bit colours in at once, and 16 bit one channel at a time
    if part.dtype == np.uint8 and part.shape[2] == 3:
        filled = cv2.inpaint(part, holes, radius, cv2.INPAINT_TELEA)
    else:
        channels = [
            cv2.inpaint(np.ascontiguousarray(part[..., c]), holes, radius, cv2.INPAINT_TELEA)
            for c in range(part.shape[2])
        ]
        filled = np.stack(channels, axis=2)
    result = np.array(image)
    result[top : top + height, left : left + width] = np.where(where[..., None], filled, part)
    return result
