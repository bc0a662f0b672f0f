-- name: expired_generations
SELECT number FROM generations WHERE expires <= :now LIMIT :few;

-- name: remember_generation
INSERT OR REPLACE INTO gone (id, owner, at) SELECT id, owner, coalesce(:now, ended, created) FROM generations WHERE number = :number;

-- name: forget_generation
DELETE FROM generations WHERE number = :number;

-- name: forget_expired_responses
DELETE FROM responses WHERE number IN (SELECT number FROM responses WHERE expires <= :now LIMIT :few);

-- name: forget_response
DELETE FROM responses WHERE number = :number;

-- name: total_size
SELECT size FROM total;

-- name: oldest
SELECT 'generation' AS kind, number, size, ended AS since FROM generations WHERE ended IS NOT NULL
UNION ALL
SELECT 'response' AS kind, number, size, created AS since FROM responses
ORDER BY since, kind, number LIMIT :few;

-- name: litter
SELECT number FROM litter ORDER BY number LIMIT :few;

-- name: litter_frames
SELECT place, length(frames) AS size FROM frames WHERE place BETWEEN :first AND :last ORDER BY place;

-- name: delete_frames
DELETE FROM frames WHERE place BETWEEN :first AND :last;

-- name: delete_litter
DELETE FROM litter WHERE number = :number;

-- name: forget_old
DELETE FROM gone WHERE number IN (SELECT number FROM gone WHERE at <= :before LIMIT :few);

-- name: forget_many
DELETE FROM gone WHERE number IN
(SELECT number FROM gone WHERE number <= (SELECT max(number) FROM gone) - :most ORDER BY number LIMIT :few);
