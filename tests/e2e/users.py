"""users: sets of users for tests, as spate's users file and as nats-server's configuration. The hashes are of the lowest
cost, so that tests need not wait; passwords stand beside them."""
import json

WONDER = '$2a$04$bf0p0gAtHbRhNKZeqQ9RfeOSLuq2ReyuJQFAB.mvVfhn0Oql6lYfS'  # wonder
PLAIN = '$2a$04$xRfEVCco9411kx5ABrAUGOj1ja3XPEnpKY608L3AxeJtrMaFQ9veS'  # plain

SETS = {
    'usual': [
        {'name': 'alice', 'password': WONDER,
         'publish': {'allow': ['a.>', 'b'], 'deny': ['a.secret']},
         'subscribe': {'allow': ['a.>', '_INBOX.>', 'q', 'q g1', 'only g1', 'w.*'], 'deny': ['a.secret', 'a.deep.>']}},
        {'name': 'bob', 'password': PLAIN},
        {'name': 'carol', 'password': PLAIN, 'subscribe': {'deny': ['a.secret', 'jobs.secret', 'foo', 'foo v1']}},
        {'name': 'dave', 'password': PLAIN, 'publish': {'deny': ['a.>']}},
    ],
}


def for_spate(users):
    """JSON is YAML, too."""
    return json.dumps({'users': users}, indent=1)


def for_reference(users, timeout):
    def permissions(user):
        return {key: user[key] for key in ('publish', 'subscribe') if key in user}
    rows = [{'user': user['name'], 'password': user['password'], 'permissions': permissions(user)} for user in users]
    return f'authorization {{ timeout: {timeout}\n users: {json.dumps(rows)} }}'
