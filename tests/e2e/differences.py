"""differences: where spate means to answer otherwise than nats-server 2.9.10, and why. Steps of a conversation name a
row; a row that no conversation names is documentation, tested elsewhere or by nobody."""

DIFFERENCES = {
    'info': 'INFO has other values (name, version, ids) and leaves out what we do not offer: the fields that the '
            'official clients need are checked one by one instead of compared',
    'slow-consumer': 'a reader that falls behind its stream is closed when it passes the limit of its cohort, not after '
                     'a write deadline; both servers close silently, so that clients reconnect',
    'subject-bounds': 'subjects are bounded (1024 bytes, 32 tokens), so that matching takes bounded time: a longer one is '
                      'refused at SUB, and at PUB with a violation that clients report, not with silence',
    'canonical-sizes': 'sizes are written anew in MSG and HMSG, without the leading zeros that they may have come with: no client '
                       'sends any',
    'credentials': 'nkey, JWT and TLS are not spoken yet: INFO offers no nonce and no TLS, so no client tries',
    'wider-than-allowed': 'a pattern has to lie within what is allowed: nats-server takes w.> where only w.* is, because it '
                          'reads the > as a word that the * matches',
    'queue-denials': 'a denial that names no queue group holds in every group: in nats-server 2.9 a second one that names '
                     'a group lifts it for members of other groups',
    'order-of-copies': 'a client with several matching subscriptions gets one copy for each, in no promised order',
}
