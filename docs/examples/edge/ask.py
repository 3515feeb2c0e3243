# Asks a UDP server: from which address (a place), to which address and port.
import socket, sys
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.bind((sys.argv[1], 0))
asker.settimeout(5)
asker.sendto(b"hello", (sys.argv[2], int(sys.argv[3])))
print(asker.recv(2000).decode())
