"""What people would use instead, row by row: what the other tools of the field can do (swarmcli, d4s, dry,
docker-swarm-tui, Portainer, Swarmpit), the mistakes they make, what their users ask for, and Swarm's own pains.

`test_rows` does what a row says at the keyboard, on the simulator, and asks the docker CLI what came of it.
`test_mistakes` would fail with each mistake of theirs. `proved` names the tests elsewhere that prove a row already.

Left out, because what they are about is not there yet, each with the issue that brings it:

- join tokens, unlocking a manager, unlock key, autolock and CA rotation, empty join tokens (moby#39241), a certificate
  that expired while the power was off (moby#24132): the Swarm's own keys and certificates, issue 6;
- backup, verification of a backup, no backup command (docker/cli#148): issue 7;
- restore, guided recovery, force-new-cluster on an autolocked swarm (moby#36852), its advertise address
  (docker/for-linux#523, #495), a restore that needs the same address (docker/docs#7931): issue 8;
- UCP and MKE, DTR and MSR: issues 9 and 10. A client bundle opens a cluster already: tests/link/test_bundle.py.
"""
