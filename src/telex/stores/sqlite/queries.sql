-- name: create_key
INSERT INTO keys (id, name, digest, tail, models, admin, rpm, tpm, concurrent, created_at, expires_at, revoked_at)
VALUES (:id, :name, :digest, :tail, :models, :admin, :rpm, :tpm, :concurrent, :created_at, :expires_at, :revoked_at)
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING;

-- name: find_key
SELECT * FROM keys WHERE digest = :digest;

-- name: list_keys
SELECT * FROM keys ORDER BY created_at, id;

-- name: revoke_key
UPDATE keys SET revoked_at = :now WHERE (name = :which OR id = :which) AND revoked_at IS NULL RETURNING *;

-- name: forget_counts
DELETE FROM counts;

-- name: save_count
INSERT INTO counts (kind, name, which, amount, at) VALUES (:kind, :name, :which, :amount, :at);

-- name: load_counts
SELECT * FROM counts WHERE at > :since ORDER BY at;
