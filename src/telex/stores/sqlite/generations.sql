-- name: create_generation
INSERT INTO generations (id, owner, created, record, reading, request, key, digest, background, begun, ended, expires)
VALUES (:id, :owner, :created, :record, :reading, :request, :key, :digest, :background, :begun, :ended, :expires)
ON CONFLICT (owner, key) WHERE key != '' DO NOTHING;

-- name: begin_generation
UPDATE generations SET begun = 1, request = x'' WHERE id = :id;

-- name: end_generation
UPDATE generations
SET record = :record, ended = :ended, expires = :expires, request = x'', key = CASE WHEN :release THEN '' ELSE key END
WHERE id = :id AND ended IS NULL;

-- name: find_generation
SELECT * FROM generations WHERE id = :id;

-- name: find_generation_key
SELECT * FROM generations WHERE owner = :owner AND key = :key AND key != '';

-- name: find_order
SELECT created, id FROM generations WHERE id = :id;

-- name: list_generations
SELECT id, owner, created, record, reading, key, digest, background, begun, ended, expires FROM generations
WHERE (created, id) < (:created, :id) AND (:background IS NULL OR background = :background)
ORDER BY created DESC, id DESC LIMIT :limit;

-- name: list_generations_of
SELECT id, owner, created, record, reading, key, digest, background, begun, ended, expires FROM generations
WHERE owner = :owner AND (created, id) < (:created, :id) AND (:background IS NULL OR background = :background)
ORDER BY created DESC, id DESC LIMIT :limit;

-- name: unfinished_generations
SELECT * FROM generations WHERE ended IS NULL ORDER BY created, id;

-- name: find_end
SELECT number, frames FROM generations WHERE id = :id;

-- name: add_frames
INSERT INTO frames (place, frames) VALUES (:place, :frames);

-- name: move_end
UPDATE generations
SET frames = frames + :count, written = written + :size, reading = CASE WHEN :reading = x'' THEN reading ELSE :reading END
WHERE id = :id AND frames = :place
RETURNING number;

-- name: read_frames
SELECT place, frames FROM frames
WHERE place BETWEEN coalesce((SELECT max(place) FROM frames WHERE place BETWEEN :first AND :after), :first) AND :last
ORDER BY place;

-- name: find_gone
SELECT owner FROM gone WHERE id = :id;

-- name: save_response
INSERT INTO responses (owner, id, generation, body, input, native, items, created, expires)
VALUES (:owner, :id, :generation, :body, :input, :native, :items, :created, :expires);

-- name: save_item
INSERT OR IGNORE INTO items (owner, id, response) VALUES (:owner, :id, :response);

-- name: find_response
SELECT * FROM responses WHERE owner = :owner AND id = :id;

-- name: find_response_item
SELECT responses.* FROM items JOIN responses ON responses.number = items.response
WHERE items.owner = :owner AND items.id = :item ORDER BY responses.created DESC, responses.number DESC LIMIT 1;

-- name: delete_response
DELETE FROM responses WHERE owner = :owner AND id = :id;
