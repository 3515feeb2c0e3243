# A server of your own: over UDP it says who it is and whom it sees; a TCP port is there for the accelerator's probes.
import socket, sys, threading
me = sys.argv[1]
probes = socket.create_server((me, 7000))
threading.Thread(target=lambda: [probes.accept()[0].close() for _ in iter(int, 1)], daemon=True).start()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((me, 7001))
while True:
    data, peer = udp.recvfrom(2000)
    udp.sendto(b"%s sees %s: %s" % (me.encode(), peer[0].encode(), data), peer)
