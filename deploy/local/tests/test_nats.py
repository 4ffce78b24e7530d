"""The NATS of the runner: real, on loopback whatever its configuration says."""

import nats


async def test_a_message_goes_round_and_the_server_keeps_to_loopback(nats_server) -> None:
    server = nats_server('listen: "0.0.0.0:4222"\nserver_name: "test"\n')
    client = await nats.connect(server.url)
    try:
        subscription = await client.subscribe("a.b")
        await client.publish("a.b", b"hello")
        assert (await subscription.next_msg(timeout=2)).data == b"hello"
    finally:
        await client.close()
    assert "127.0.0.1" in server.log.read_text()
    assert "0.0.0.0" not in server.log.read_text()
