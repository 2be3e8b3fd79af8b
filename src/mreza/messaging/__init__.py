"""From a payload to batches and back: order, acknowledgement, retransmission, fragments."""
